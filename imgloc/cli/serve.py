"""imgloc serve"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imgloc.cli.parsers import check_rest
from imgloc.errors import UserError

HELP = "serve a model: a web page and an HTTP interface that predict for images"
EXAMPLES = """\
Requires pip install 'imgloc[serve]'. The page takes an image or the camera and shows the boxes. POST /v1/locate takes the bytes of an
image and answers with the JSON of imgloc locate; /openapi.json describes it. Images of concurrent requests are predicted together.
/healthz answers once the model is compiled; /metrics is for Prometheus. SIGTERM ends the server after the requests that had arrived.
The server has no login and no encryption. With --host 0.0.0.0, run it behind a proxy that adds both.

examples:
  imgloc serve runs/a                                   # http://127.0.0.1:8000
  imgloc serve model/ --host 0.0.0.0 --port 80
  curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/locate

exit codes: 0 stopped by SIGTERM; 2 a mistake in the command or the model; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("model", metavar="BUNDLE", help="a run folder, RUN/model or a copy of it, or published weights")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0: a free one (default: 8000)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="images predicted together, at most (default: 16)")
    parser.add_argument("--max-bytes", type=int, default=8 * 2**20, metavar="N", help="bytes of an image (default: 8388608)")
    parser.add_argument("--max-pixels", type=int, default=2**25, metavar="N", help="pixels of an image (default: 33554432)")
    parser.add_argument("--max-queue", type=int, default=256, metavar="N", help="images that wait for their answer (default: 256)")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds for a prediction (default: 30)")
    text = "seconds for an upload, and for a client that does not read its answers (default: 10)"
    parser.add_argument("--upload-timeout", type=float, default=10.0, metavar="S", help=text)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    check_rest(rest, "serve")
    if parsed.batch_size < 1 or parsed.batch_size > 1024:
        raise UserError(f"--batch-size must be from 1 to 1024, got {parsed.batch_size}")
    from imgloc.devices import runtime

    runtime.prepare()
    try:
        from imgloc.serving.server import compile_all, listen, serve
    except ModuleNotFoundError as error:
        raise UserError(f"imgloc serve requires the package '{error.name}': pip install 'imgloc[serve]'") from error
    from imgloc import __version__
    from imgloc.inference.load import open_model
    from imgloc.nn.apply import reads_videos
    from imgloc.serving.limits import Limits

    limits = Limits(parsed.max_bytes, parsed.max_pixels, parsed.max_queue, parsed.timeout, parsed.upload_timeout)
    trained = open_model(parsed.model, checkpoint=parsed.checkpoint)
    if reads_videos(trained.module):
        raise UserError(f"model '{trained.name}' reads videos; imgloc serve supports models of images; use imgloc track")
    with listen(parsed.host, parsed.port) as listening:
        compile_all(trained, parsed.batch_size)
        host, port = listening.getsockname()[:2]
        print(f"serving '{parsed.model}' at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        serve(trained, listening, limits, batch_size=parsed.batch_size, version=__version__)
    return 0
