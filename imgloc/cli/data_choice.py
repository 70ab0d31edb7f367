"""Which data a command of `imgloc data` is about: a folder, or what a recipe names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.errors import UserError, unknown

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.types import Source

SPLITS = ("train", "validation", "test")


def add_arguments(parser: argparse.ArgumentParser, *, split: str = "all") -> None:
    """The flags that say which data; `split`: the default of --split."""
    parser.add_argument("folder", nargs="?", default="", metavar="FOLDER", help="images and their annotations")
    parser.add_argument("--config", default="", metavar="RECIPE", help="the data of a recipe instead; --config.data.KEY=VALUE as in train")
    parser.add_argument("--format", default="", metavar="NAME", help="of FOLDER's annotations, where it is not to be recognised")
    parser.add_argument("--convention", default="", metavar="NAME", help="of FOLDER's boxes: inclusive_from_1, inclusive_from_0 or edges")
    if split:
        possible = "train, validation or test" + (", or all of them" if split == "all" else "")
        parser.add_argument("--split", default=split, help=f"{possible} (default: {split})")


def chosen_config(parsed: argparse.Namespace, rest: Sequence[str]) -> ConfigDict:
    """The config whose `data` and `seed` say which data: a recipe's, complete, or the defaults' with source `folder`."""
    if bool(parsed.folder) == bool(parsed.config):
        raise UserError("say which data: either a folder, or --config with a recipe")
    if parsed.config:
        for flag in ("format", "convention"):
            if getattr(parsed, flag):
                raise UserError(f"--{flag} goes with a folder; with a recipe: --config.data.options.{flag}=...")
        from imgloc.config import schema as configs

        return override(read_recipe(parsed.config), rest)
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --format, --convention; --config.KEY=VALUE goes with --config RECIPE")
    from imgloc.config import schema as configs

    config = configs.base()
    config.data.source = "folder"
    config.data.options.folder = parsed.folder
    config.data.options.format = parsed.format
    config.data.options.convention = parsed.convention
    return config


def in_flags(error: UserError, parsed: argparse.Namespace) -> UserError:
    """An error about a folder that was named without a recipe, in terms of this command's flags."""
    if not getattr(parsed, "folder", "") or getattr(parsed, "config", None) != "":
        return error
    text = str(error)
    for option, flag in (("folder", "FOLDER"), ("format", "--format"), ("convention", "--convention")):
        text = text.replace(f"config key 'data.options.{option}'", flag).replace(f"data.options.{option}", flag)
    return UserError(text)


def chosen_splits(name: str) -> tuple[str, ...]:
    """The splits that --split names. Raises UserError for an unknown one."""
    if name != "all" and name not in SPLITS:
        raise unknown("split", name, (*SPLITS, "all"))
    return SPLITS if name == "all" else (name,)


def opened(config: ConfigDict, splits: Sequence[str]) -> Iterator[tuple[str, Source | UserError]]:
    """The splits of a config's data by name, with why it is none where a split cannot be had. Raises UserError where none can."""
    from imgloc.config import build

    errors = []
    for split in splits:
        try:
            yield split, build.make_source(config.data, split, config.seed)
        except UserError as error:
            errors.append(error)
            if len(errors) == len(splits):
                raise
            yield split, error


def title(config: ConfigDict) -> str:
    """What the data is called."""
    options = config.data.options
    return str(options.get("folder") if config.data.source == "folder" else options.get("name") or config.data.source)
