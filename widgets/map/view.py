"""The embedding map: a projection to walk about in, live in a notebook or saved as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from jaxtyping import Int
from PIL import Image

from lens.errors import BadInput, LensError
from lens.pictures import open_picture
from lens.widgets import host
from lens.widgets.atlas import atlas
from lens.widgets.esm import module
from lens.widgets.map import traits
from lens.widgets.map.archive import archive
from lens.widgets.map.linking import Links
from lens.widgets.theme import styles
from lens.widgets.view import View

if TYPE_CHECKING:
    from lens.figures import Figure
    from lens.projection import Projection

HERE = Path(__file__).parent
# Tiles of one answer; a page that shows more asks again.
PICTURES = 96
TILE = 64
ROWS = 200
#: How many pictures a saved page holds at most; about 1 kB each.
KEPT = 3000


class EmbeddingMap(View):
    """A map to pan, zoom, search, colour and label; made by `Projection.view`.

    Attributes
    ----------
    proj : Projection
        What is shown. Labels given in the map are in ``proj.labels``.
    chosen : ndarray
        The points that are selected. Set it to select others.
    """

    _esm = module(HERE / "map.js")
    _css = styles(HERE / "map.css")

    about = traitlets.Dict().tag(sync=True)
    palette = traitlets.Dict(traits.PALETTE).tag(sync=True)
    places = traitlets.Bytes().tag(sync=True)
    colour = traitlets.Dict().tag(sync=True)
    colourings = traitlets.List(traitlets.Unicode()).tag(sync=True)
    clusters = traitlets.List(traitlets.Dict()).tag(sync=True)
    given = traitlets.Dict().tag(sync=True)
    selected = traitlets.Bytes().tag(sync=True)
    reads = traitlets.Unicode().tag(sync=True)
    ask = traitlets.Unicode().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)
    archive = traitlets.Dict().tag(sync=True)

    def __init__(self, proj: Projection, colour: Any = None) -> None:
        """Show a projection.

        Parameters
        ----------
        proj
            From `lens.project`.
        colour
            What the colours show first, as ``proj.colour`` takes it.
        """
        self.proj = proj
        self._kept = KEPT
        self._links = Links(proj)
        positions = traits.placed(proj)
        self._shown = proj.colour(colour)
        first = traits.coloured(self._shown)
        super().__init__(
            about=traits.about(proj),
            places=positions.astype("<u2").tobytes(),
            colour=first,
            colourings=proj.colourings,
            clusters=traits.clustered(proj, positions),
            given=traits.given(proj),
            reads=proj.reads,
        )
        proj.labels.on_change(self._labelled)
        self.on_msg(self._answer)

    # -- from Python -------------------------------------------------------------------------

    @property
    def chosen(self) -> Int[np.ndarray, " m"]:
        """The points that are selected, in order."""
        return np.frombuffer(self.selected, "<u4").astype(np.int64)

    @chosen.setter
    def chosen(self, points: Sequence[int] | Int[np.ndarray, " m"]) -> None:
        rows = np.unique(np.asarray(points, np.int64))
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(self.proj):
            raise BadInput(f"The map has the points 0 to {len(self.proj) - 1}.")
        self.selected = rows.astype("<u4").tobytes()

    def save(self, path: str | Path, *, beside: Sequence[View] = (), pictures: int = KEPT) -> Path:
        """Write the map as one HTML file that needs no kernel and no network, or as a figure.

        The file holds every colouring there is, the words of the vocabulary to search for, each
        point's nearest neighbours for maps of up to 20,000 points, and pictures. Labels can be
        given in it, and taken home as CSV.

        Parameters
        ----------
        path
            Ends in ``.html``, or in ``.svg``, ``.pdf`` or ``.png`` for `figure`. Missing folders
            are made.
        beside
            Other views that the same page shows below this one; see `View.save`.
        pictures
            How many pictures an HTML file holds at most, spread evenly over the points; about 1 kB
            each.

        Raises
        ------
        BadInput
            For another kind of file.
        """
        self._kept = pictures
        return super().save(path, beside=beside)

    def figure(self, **settings: Any) -> Figure:
        """Draw the map in the colours that are shown.

        ``settings`` are those of `lens.figures.embedding_map`, ``colour`` among them.
        """
        from lens.figures import embedding_map

        return embedding_map(self.proj, **{"colour": self._shown, **settings})

    @property
    def heading(self) -> str:
        """The title of a page that shows it."""
        return f"Embedding map: {len(self.proj):,} points"

    def state(self) -> dict[str, Any]:
        """Give the traits that a page starts with, and what it can tell without a kernel."""
        told = {"ask": "", "notice": "", "archive": archive(self.proj, self._kept)}
        return {**super().state(), **told}

    def answers(self) -> host.Answers:
        """Give every colouring there is."""
        found = {name: traits.coloured(self.proj.colour(name)) for name in self.colourings}
        found.setdefault(self.colour["name"], self.colour)
        return {"ask": {f"colour:{name}": {"colour": made} for name, made in found.items()}}

    def __repr__(self) -> str:
        return f"Embedding map of {self.proj!r}"

    # -- from the page -----------------------------------------------------------------------

    @traitlets.observe("ask")
    def _recolour(self, change: Any) -> None:
        """Answer with another colouring, or a sentence; what is shown stays."""
        what, _, name = change["new"].partition(":")
        if what != "colour" or not name:
            return
        try:
            shown = self.proj.colour(name)
            found = traits.coloured(shown)
        except LensError as problem:
            self.notice = str(problem)
            return
        with self.hold_sync():
            self.notice = ""
            self.colour, self._shown = found, shown

    def _answer(self, _widget: Any, message: Any, buffers: Any) -> None:
        """Answer one question of the page; a mistake is answered with its sentence."""
        if not isinstance(message, Mapping) or message.get("kind") not in self._known:
            return
        if message["kind"] == "find" and message.get("what") == "image":
            # The pictures are opened the first time, and the notebook goes on meanwhile.
            self._looking = Thread(target=self._reply, args=(message, buffers), daemon=True)
            self._looking.start()
        else:
            self._reply(message, buffers)

    def _reply(self, message: Mapping[str, Any], buffers: Any) -> None:
        try:
            body, sent = self._known[message["kind"]](self, message, buffers)
        except LensError as problem:
            body, sent = {"error": str(problem)}, []
        except Exception as problem:  # the page says it; the notebook goes on
            body, sent = {"error": f"That could not be answered: {problem!r}"}, []
        self.send({"kind": "answer", "to": message.get("to"), **body}, sent)

    def _rows(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        points, own = self._points(message["points"], ROWS), self.proj.points
        return {
            "rows": [
                {"id": own.ids[i], "kind": str(own.kinds[i]), "name": own.names[i]} for i in points
            ],
        }, []

    def _near(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        (point,) = self._points([message["point"]], 1)
        if len(self.proj) < 2:
            return {"points": [], "names": []}, []
        k = min(int(message.get("k", 6)), ROWS)
        found = self.proj.neighbours(point, k)["point"].tolist()
        return {"points": found, "names": [self.proj.points.names[i] for i in found]}, []

    def _pictures(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        there, images = [], []
        for point in self._points(message["points"], PICTURES):
            picture = self.proj.points.picture(point)
            if picture is not None:
                there.append(point)
                images.append(np.asarray(picture.convert("RGB")))
        sheet = atlas(images, tile=TILE)
        return {"points": there, "tile": TILE, "columns": sheet["columns"]}, [sheet["image"]]

    def _search(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        text = str(message["text"]).strip()
        if not text:
            raise BadInput("Type what to search for.")
        if self.proj.reads:  # no joint space: what the points are called
            wanted = text.casefold()
            names = self.proj.points.names
            hits = [i for i, name in enumerate(names) if wanted in name.casefold()][:60]
            return {"points": hits, "by": "name"}, []
        return {"points": self.proj.search(text, 60)["point"].tolist(), "by": "meaning"}, []

    def _resembling(self, _message: Any, buffers: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Search by a picture that the page was given, as the bytes of its file."""
        try:
            picture = Image.open(BytesIO(bytes(buffers[0])))
        except Image.UnidentifiedImageError as problem:
            raise BadInput("That file is not a picture in any format that is known.") from problem
        found = self.proj.search(open_picture(picture, "The picture"), 60)
        return {"points": found["point"].tolist(), "by": "meaning"}, []

    def _label(self, message: Any, buffers: Any) -> tuple[dict[str, Any], list[bytes]]:
        self.proj.labels.add(message["label"], np.frombuffer(buffers[0], "<u4").astype(np.int64))
        return {}, []

    def _labelled_points(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [self.proj.labels.points(message["label"]).astype("<u4").tobytes()]

    def _undo(self, _message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        self.proj.labels.undo()
        return {}, []

    def _redo(self, _message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        self.proj.labels.redo()
        return {}, []

    def _moved(self, _message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [traits.moved(self.proj)]

    def _find(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        return {"point": self._links.find(str(message["what"]), str(message["id"]))}, []

    def _link(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        (point,) = self._points([message["point"]], 1)
        return {"what": str(self.proj.points.kinds[point]), "id": self._links.of(point)}, []

    def _cluster(self, message: Any, _: Any) -> tuple[dict[str, Any], list[bytes]]:
        table, own = self.proj.clusters, self.proj.cluster_numbers
        numbers = table["cluster"][table["name"].astype(str) == str(message["name"])]
        return {}, [np.flatnonzero(np.isin(own, numbers)).astype("<u4").tobytes()]

    _known = {  # noqa: RUF012 - what a page may ask, never changed
        "rows": _rows,
        "near": _near,
        "pictures": _pictures,
        "search": _search,
        "resembling": _resembling,
        "label": _label,
        "labelled": _labelled_points,
        "undo": _undo,
        "redo": _redo,
        "moved": _moved,
        "find": _find,
        "link": _link,
        "cluster": _cluster,
    }

    def _points(self, asked: Any, most: int) -> list[int]:
        """Give the points that a page asks for, at most so many, those that exist."""
        n = len(self.proj)
        return [int(i) for i in list(asked)[:most] if 0 <= int(i) < n]

    def _labelled(self) -> None:
        self.given = traits.given(self.proj)
        self.colourings = self.proj.colourings
        if self.colour["name"] == "label given" and "label given" in self.colourings:
            self._shown = self.proj.colour("label given")
            self.colour = traits.coloured(self._shown)
