"""Images of concurrent requests are predicted together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from imgloc.inference.load import Prepared
from imgloc.serving.limits import Refused
from imgloc.types import Row

Columns = Callable[[Sequence[Prepared], int], list[Row | None]]  # of `inference.load.column_predictor`


class Batcher:
    """A queue of images in front of a predictor.

    The images that arrive while a batch is computed become the next batch, of at most `batch_size` images. No image waits for a full batch.
    `observe` is called with the number of images of each batch.
    """

    def __init__(self, columns: Columns, *, batch_size: int, max_waiting: int, observe: Callable[[int], None]) -> None:
        self._columns = columns
        self._batch_size = batch_size
        self._waiting: asyncio.Queue[tuple[Prepared, asyncio.Future[Row | None]]] = asyncio.Queue(max_waiting)
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")

    async def predict(self, prepared: Prepared) -> Row | None:
        """The prediction columns of an image, None where the output of the model is not finite. Raises Refused where the queue is full."""
        if self._waiting.full():  # images of requests that were given up stay in the queue
            raise Refused(429, f"{self._waiting.maxsize} images wait already; try again later")
        future: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((prepared, future))
        return await future

    async def run(self) -> None:
        """Predict batch after batch, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            taken = [await self._waiting.get()]
            while len(taken) < self._batch_size and not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
            batch = [each for each in taken if not each[1].done()]  # a request that was given up is cancelled
            if not batch:
                continue
            self._observe(len(batch))
            rows: Sequence[Row | None] | Exception
            try:
                rows = await loop.run_in_executor(self._thread, self._columns, [image for image, _ in batch], self._batch_size)
            except Exception as error:  # of a device, such as too little memory: these requests fail, and the server continues
                rows = error
            for number, (_, future) in enumerate(batch):
                if future.done():
                    continue
                if isinstance(rows, Exception):
                    future.set_exception(rows)
                else:
                    future.set_result(rows[number])

    def close(self) -> None:
        """End the thread of predictions."""
        self._thread.shutdown(wait=False, cancel_futures=True)
