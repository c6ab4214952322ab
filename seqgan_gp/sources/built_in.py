"""Lines that come with the package."""

from pathlib import Path

from gan_core.storage.inputs import built_in_folder
from seqgan_gp.sources.base import Source
from seqgan_gp.sources.paths import folder_source
from seqgan_gp.sources.registry import Options, Origin

BUILT_IN = {"wordnet": "the definitions and example sentences of WordNet 3.0"}


class BuiltIn(Origin, name="built-in", order=0):
    """Data that the option `data` calls by a name of BUILT_IN."""

    def claims(self, spec: str) -> bool:
        return spec in BUILT_IN

    def open(self, spec: str, how: Options) -> Source:
        folder = built_in_folder(Path(__file__).parents[1], spec)
        return folder_source(folder, how, f"{spec} ({BUILT_IN[spec]})")
