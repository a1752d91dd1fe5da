// Everything dies again and again while four publishers write and five readers read: what was
// acknowledged stays where the answer said, and each reader has each event once.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, JsonReader, reader } from "./support/clients.mjs";
import { history, isLong, publish, publishSurely, random, tidemark, until } from "./support/tidemark.mjs";

const KILLS = isLong ? 100 : 6;
const PUBLISHERS = 4;

for (const victim of ["serve", "broker", "gateway"]) {
    test(`g1_g2_g3_g4_${KILLS}_kills_of_${victim}_under_load`, async (t) => {
        const server = await tidemark(t, { isSeparate: victim !== "serve" });
        const stock = await Promise.all([1, 2, 3].map(() => reader(t, server, "load")));
        const json = await Promise.all([1, 2].map(() => new JsonReader(t, server, "load").start()));

        const acknowledged = new Map();     // id → sequence
        let isOver = false, made = 0;
        const publishers = Array.from({ length: PUBLISHERS }, async () => {
            while (!isOver) {
                const events = Array.from({ length: 1 + random(20) }, () => {
                    const n = made++;
                    return { topic: "load", event: "wave", data: { n }, id: `load ${n}` };
                });
                const answers = await publishSurely(server, events);
                answers.forEach(({ seq }, i) => acknowledged.set(events[i].id, seq));
            }
        });
        for (let kill = 0; kill < KILLS; kill++) {
            const target = acknowledged.size + 100 + random(400);
            await until("publishers to get on", () => acknowledged.size >= target);
            await server[victim === "gateway" ? "gateway" : "broker"].end("SIGKILL");
            await server.start();
        }
        isOver = true;
        await Promise.all(publishers);

        const log = await history(server, "load");
        assertRising(log.map((event) => event.seq), "the log");
        assert.equal(new Set(log.map((event) => event.data.n)).size, log.length, "an event was appended twice");
        assert.equal(log.length, made, "each publish was acknowledged in the end");
        for (const event of log)
            assert.equal(event.seq, acknowledged.get(`load ${event.data.n}`), "an event is not where its answer said");

        // Every id again: nothing may be appended, and the answers are the first ones.
        for (let n = 0; n < made; n += 50)
            await Promise.all(Array.from({ length: Math.min(50, made - n) }, async (_, i) => {
                const again = { topic: "load", event: "wave", data: { n: n + i }, id: `load ${n + i}` };
                assert.equal((await publish(server, again)).seq, acknowledged.get(again.id));
            }));
        assert.equal((await history(server, "load")).length, made);

        const expected = log.map((event) => event.seq);
        for (const one of stock) {
            await one.count(made);
            assert.deepEqual(one.events.map((event) => event.seq), expected, "a stock client");
            assert.equal(one.recoveries, one.connects);
        }
        for (const one of json) {
            await until(() => `a JSON reader (${one.events.length} of ${made})`, () => one.events.length >= made);
            assert.deepEqual(one.events.map((event) => event.seq), expected, "a JSON client");
            assert.deepEqual([one.resets.length, one.renewals], [0, 0]);
        }
        t.diagnostic(`${made} events over ${KILLS} kills`);
    });
}
