"""The arguments of `imgloc data` commands that select a data set: a folder, or a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imgloc.config import schema
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.errors import UserError, unknown

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.types import Source

SPLITS = ("train", "validation", "test")


def add_arguments(parser: argparse.ArgumentParser, *, split: str = "all") -> None:
    """Adds the arguments that select the data; `split` is the default of --split, "" for commands without it."""
    parser.add_argument("folder", nargs="?", default="", metavar="FOLDER", help="a folder of images and their annotations")
    parser.add_argument("--config", default="", metavar="RECIPE", help="use a recipe's data instead; --config.data.KEY=VALUE as in train")
    parser.add_argument("--format", default="", metavar="NAME", help="format of the annotations in FOLDER (default: detected)")
    parser.add_argument(
        "--convention", default="", metavar="NAME", help="of the boxes: inclusive_from_1, inclusive_from_0, edges_from_1 or edges"
    )
    parser.add_argument("--follow-links", action="store_true", help="read links in FOLDER that lead outside it")
    if split:
        possible = "train, validation or test" + (", or all of them" if split == "all" else "")
        parser.add_argument("--split", default=split, help=f"{possible} (default: {split})")


def read_config(parsed: argparse.Namespace, rest: Sequence[str]) -> ConfigDict:
    """Returns the config that selects the data: the recipe's, or the default config with source `folder`."""
    if bool(parsed.folder) == bool(parsed.config):
        raise UserError("expected either a folder, or --config with a recipe")
    if parsed.config:
        for flag in ("format", "convention", "follow_links"):
            if getattr(parsed, flag):
                raise UserError(f"--{flag.replace('_', '-')} applies to a folder; with a recipe use --config.data.options.{flag}=...")
        return override(read_recipe(parsed.config), rest)
    if rest:
        raise UserError(
            f"unknown option '{rest[0]}'; possible: --format, --convention, --follow-links; --config.KEY=VALUE requires --config RECIPE"
        )
    config = schema.base()
    config.data.source = "folder"
    config.data.options.folder = parsed.folder
    config.data.options.format = parsed.format
    config.data.options.convention = parsed.convention
    config.data.options.follow_links = parsed.follow_links
    return config


def name_flags(error: UserError, parsed: argparse.Namespace) -> UserError:
    """Returns an error about a folder with the command's flags in place of config keys."""
    if not getattr(parsed, "folder", "") or getattr(parsed, "config", None) != "":
        return error
    text = str(error)
    for option, flag in (
        ("folder", "FOLDER"),
        ("format", "--format"),
        ("convention", "--convention"),
        ("follow_links=True", "--follow-links"),
    ):
        text = text.replace(f"config key 'data.options.{option}'", flag).replace(f"data.options.{option}", flag)
    return UserError(text)


def parse_splits(name: str) -> tuple[str, ...]:
    """Returns the splits that --split names. Raises UserError for an unknown one."""
    if name != "all" and name not in SPLITS:
        raise unknown("split", name, (*SPLITS, "all"))
    return SPLITS if name == "all" else (name,)


def open_splits(config: ConfigDict, splits: Sequence[str]) -> Iterator[tuple[str, Source | UserError]]:
    """Yields each split's name with its source, or with the error if it is missing. Raises UserError if all are missing."""
    from imgloc.config import build

    num_errors = 0
    for split in splits:
        try:
            yield split, build.make_source(config.data, split, config.seed)
        except UserError as error:
            num_errors += 1
            if num_errors == len(splits):
                raise
            yield split, error


def several_objects(several: int, images: int, task_name: str) -> str:
    """Returns a sentence: how many images have several objects, how many of these a task learns, and what happens to the others."""
    from imgloc.config.registry import declared
    from imgloc.interfaces import Task

    return f"{several:,} of {images:,} images have several objects; task {task_name} {declared('tasks', task_name, Task).objects}"


def title(config: ConfigDict) -> str:
    """Returns the name of the data set for a title."""
    options = config.data.options
    return str(options.get("folder") if config.data.source == "folder" else options.get("name") or config.data.source)
