// A client of a quiet topic resumes however much passed elsewhere, trimmed or not.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, comeBack, reader } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { isLong, noise, publishMany, tidemark } from "./support/tidemark.mjs";

const NOISE = isLong ? 2_000_000 : 150_000;

test(`g5_a_quiet_topic_is_resumed_after_${NOISE}_events_of_another`, async (t) => {
    const server = await tidemark(t, { broker: ["--retain-events", "20000"] });
    const between = await proxy(t, server);
    const one = await reader(t, between, "quiet");
    const never = await reader(t, between, "never");
    await publishMany(server, "quiet", 3);
    await one.count(3);
    between.isOpen = false;
    between.cut();
    await noise(server, "loud", NOISE);
    const { json } = await server.get("/api/v1/history?topic=loud&since=0&limit=1");
    assert.equal(json.trimmed, true, "the noise was meant to be trimmed");
    between.isOpen = true;
    for (const who of [one, never]) {
        await comeBack(who, 1);
        assert.equal(who.recoveries, 1);
        assert.equal(who.socket.id, who.sid);
    }
    await publishMany(server, "quiet", 2, { first: 3 });
    await one.count(5);
    assertRun(one.ns, 0, 5);
});
