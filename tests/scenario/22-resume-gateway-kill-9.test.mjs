// kill -9 of the gateway: sessions live in the log, so a gateway that knew nothing resumes them.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, comeBack, reader } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { freePorts, publishMany, publishSurely, Tidemark, tidemark } from "./support/tidemark.mjs";

test("g5_sessions_survive_kill_9_of_the_gateway", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const readers = await Promise.all([1, 2, 3].map(() => reader(t, server, "a")));
    let n = 0;
    for (let kill = 1; kill <= 3; kill++) {
        await publishMany(server, "a", 100, { first: n });
        await server.gateway.end("SIGKILL");
        await server.start();
        await publishSurely(server, { topic: "a", event: "wave", data: { n: n + 100 }, id: `kill ${kill}` });
        n += 101;
        for (const one of readers) {
            await comeBack(one, kill);
            assert.equal(one.recoveries, kill);
            assert.equal(one.socket.id, one.sid);
        }
    }
    for (const one of readers) {
        await one.count(n);
        assertRun(one.ns, 0, n);
    }
});

test("g5_a_client_comes_back_to_another_gateway", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const between = await proxy(t, server);
    const other = new Tidemark({ port: await freePorts(1), brokerPort: server.brokerPort, data: server.data, isSeparate: true });
    other.programs.delete(other.broker);
    t.after(() => other.gateway.end("SIGKILL"));
    await other.start();

    const one = await reader(t, between, "a");
    await publishMany(server, "a", 10);
    await one.count(10);
    between.target = other.port;
    between.cut();
    await publishMany(server, "a", 10, { first: 10 });
    await comeBack(one, 1);
    assert.equal(one.recoveries, 1);
    await publishMany(other, "a", 10, { first: 20 });
    await one.count(30);
    assertRun(one.ns, 0, 30);
});
