"""The arguments of `imgloc data` commands that select a data set: a folder, or a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.errors import UserError, unknown

if TYPE_CHECKING:
    from ml_collections import ConfigDict

SPLITS = ("train", "validation", "test")


def add_arguments(parser: argparse.ArgumentParser, *, split: str = "all") -> None:
    """Adds the arguments that select the data; `split` is the default of --split, "" for commands without it."""
    parser.add_argument("folder", nargs="?", default="", metavar="FOLDER", help="a folder of images and their annotations")
    parser.add_argument(
        "--config",
        default="",
        metavar="RECIPE",
        help="use the data of a recipe (a file or a name) instead; --config.data.KEY=VALUE as in train",
    )
    parser.add_argument("--format", default="", metavar="NAME", help="format of the annotations in FOLDER (default: detected)")
    text = "coordinate convention of the boxes, such as inclusive_from_1 or edges; docs/data_formats.md lists those of each format"
    parser.add_argument("--convention", default="", metavar="NAME", help=text)
    text = "attribute of the regions that is the class, where they have several (VIA)"
    parser.add_argument("--class-attribute", default="", metavar="NAME", help=text)
    parser.add_argument("--follow-links", action="store_true", help="read links in FOLDER that lead outside it")
    if split:
        possible = "train, validation or test" + (", or all of them" if split == "all" else "")
        parser.add_argument("--split", default=split, help=f"{possible} (default: {split})")


def read_config(parsed: argparse.Namespace, rest: Sequence[str]) -> ConfigDict:
    """Returns the config that selects the data: the recipe's, or the default config with source `folder`."""
    if bool(parsed.folder) == bool(parsed.config):
        raise UserError(f"expected either FOLDER or --config RECIPE, got {'both' if parsed.folder else 'neither'}")
    if parsed.config:
        for flag in ("format", "convention", "class_attribute", "follow_links"):
            if getattr(parsed, flag):
                raise UserError(f"--{flag.replace('_', '-')} applies to a folder; with a recipe use --config.data.options.{flag}=...")
        return override(read_recipe(parsed.config), rest)
    if rest and rest[0].startswith("--config."):
        raise UserError("overrides require --config RECIPE; for FOLDER use --format, --convention, --class-attribute and --follow-links")
    if rest:
        raise UserError(f"unexpected argument '{rest[0]}'; possible: --format, --convention, --class-attribute, --follow-links")
    from imgloc.api.data import data_config

    return data_config(
        parsed.folder, format=parsed.format, convention=parsed.convention, class_attribute=parsed.class_attribute,
        follow_links=parsed.follow_links,
    )  # fmt: skip


def task_of(parsed: argparse.Namespace, config: ConfigDict) -> str:
    """Returns the task of a recipe; "" for a folder, whose task nobody has chosen."""
    return str(config.task) if parsed.config else ""


def name_flags(error: UserError, parsed: argparse.Namespace) -> UserError:
    """Returns an error about a folder with the command's flags in place of config keys."""
    if not getattr(parsed, "folder", "") or getattr(parsed, "config", None) != "":
        return error
    text = str(error)
    for option, flag in (
        ("folder", "FOLDER"),
        ("format", "--format"),
        ("convention", "--convention"),
        ("class_attribute", "--class-attribute"),
        ("follow_links=True", "--follow-links"),
    ):
        text = text.replace(f"config key 'data.options.{option}'", flag).replace(f"data.options.{option}", flag)
    return UserError(text)


def parse_splits(name: str) -> tuple[str, ...]:
    """Returns the splits that --split names. Raises UserError for an unknown one."""
    if name != "all" and name not in SPLITS:
        raise unknown("split", name, (*SPLITS, "all"))
    return SPLITS if name == "all" else (name,)
