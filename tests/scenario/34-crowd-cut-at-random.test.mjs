// A crowd on one topic, half of it polling, half on WebSocket, whose connections are cut at random all
// the time: each has every event once, in order.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun, reader } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { isLong, publishMany, random, tidemark, until, wait } from "./support/tidemark.mjs";

const EACH = isLong ? 200 : 20;
const MS = isLong ? 120_000 : 6000;
const BATCH = 4, EVERY_MS = 100;

test(`g1_${EACH}_polling_and_${EACH}_websocket_clients_cut_at_random`, async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const all = [];
    for (const transport of ["polling", "websocket"])
        for (let first = 0; first < EACH; first += 20)
            all.push(...await Promise.all(Array.from({ length: 20 }, () =>
                reader(t, between, "crowd", { client: { transports: [transport], reconnectionDelayMax: 1000 } }))));
    let n = 0, cuts = 0;
    const end = Date.now() + MS;
    while (Date.now() < end) {
        const due = Date.now() + EVERY_MS;
        await publishMany(server, "crowd", BATCH, { first: n });
        n += BATCH;
        for (let i = random(Math.ceil(EACH / 20) + 1); i > 0; i--, cuts++)
            between.cutOne(random);
        if (random(100) === 0)
            between.cut();
        await wait(Math.max(0, due - Date.now()));
    }
    await until(() => `all to have ${n} events: ${all.filter((one) => one.events.length < n).length} have not`,
        () => all.every((one) => one.events.length >= n), isLong ? 120_000 : 30_000);
    for (const [i, one] of all.entries()) {
        assertRun(one.ns, 0, n, `client ${i}`);
        assertRising(one.events.map((event) => event.seq), `client ${i}`);
        assert.equal(one.recoveries, one.connects, `client ${i}: a reconnect was not recovered`);
    }
    const sum = (list) => list.reduce((total, one) => total + one.connects, 0);
    t.diagnostic(`${n} events, ${cuts} cuts, ${sum(all.slice(0, EACH))} reconnects of polling clients, ${sum(all.slice(EACH))} of WebSocket ones`);
    assert.ok(sum(all) > 0, "nobody was cut");
});
