// kill -9 of the broker: the gateway waits for it, and its clients see neither a gap nor a repeat.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun, JsonReader, reader } from "./support/clients.mjs";
import { history, publish, publishSurely, tidemark, until } from "./support/tidemark.mjs";

test("g2_g3_events_before_during_and_after_kill_9_of_the_broker_come_once", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const stock = await Promise.all([1, 2].map(() => reader(t, server, "a")));
    const json = await new JsonReader(t, server, "a").start();
    let n = 0;
    const some = async () => {
        for (let batch = 0; batch < 10; batch++, n += 10)
            await publishSurely(server, Array.from({ length: 10 }, (_, i) => (
                { topic: "a", event: "wave", data: { n: n + i }, id: `event ${n + i}` })));
    };
    for (let kill = 0; kill < 3; kill++) {
        await some();
        await server.broker.end("SIGKILL");
        const during = some();
        await server.start();
        await during;
    }
    assertRun((await history(server, "a")).map((event) => event.data.n), 0, n, "the log");
    for (const one of stock) {
        await one.count(n);
        assertRun(one.ns, 0, n, "a stock client");
        assert.equal(one.recoveries, one.connects);
    }
    await until("the JSON reader", () => json.events.length >= n);
    assertRun(json.events.map((event) => event.data.n), 0, n, "a JSON client");
    assertRising(json.events.map((event) => event.seq));
});

test("a publish while the broker is away is answered, not swallowed", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    server.mayBeDown = true;
    await server.broker.end("SIGKILL");
    await assert.rejects(publish(server, { topic: "a", event: "wave", data: 1, id: "x" }),
        (error) => [503, 504].includes(error.status) && ["broker_away", "timeout"].includes(error.code));
});
