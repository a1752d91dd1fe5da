// A broker's three sockets may be at several addresses, and have the same port at each of them.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { reader } from "./support/clients.mjs";
import { freePorts, publish, tidemark } from "./support/tidemark.mjs";

/* Where events and volatile events are, by the port of each. */
const places = [
    ["one port at three addresses", ([port]) => [port, `127.0.0.2:${port}`, `127.0.0.3:${port}`]],
    ["one port at two others", ([port, other]) => [port, `127.0.0.2:${other}`, `127.0.0.3:${other}`]],
    ["the volatiles alone elsewhere", ([port, other]) => [port, `127.0.0.1:${other}`, `127.0.0.2:${other}`]],
    ["at all addresses", ([port, other, third]) => [port, `0.0.0.0:${other}`, `0.0.0.0:${third}`]],
    ["of both families", ([port]) => [port, `[::1]:${port}`, `127.0.0.2:${port}`]]
];

for (const [what, where] of places)
    for (const isSeparate of [false, true])
        test(`${what}, ${isSeparate ? "two programs" : "one program"}`, async (t) => {
            const first = await freePorts(3);
            const [port, events, volatiles] = where([first, first + 1, first + 2]);
            const server = await tidemark(t, { isSeparate, broker: [
                "--broker", `tcp://127.0.0.1:${port}`, "--events", `tcp://${events}`,
                "--volatile", `tcp://${volatiles}`, "--insecure"],
            gateway: ["--broker", `tcp://127.0.0.1:${port}`] });
            const one = await reader(t, server, "a");
            await publish(server, { topic: "a", event: "wave", data: { n: 0 } });
            await one.count(1);
            await publish(server, { topic: "a", event: "wave", data: { n: 1 }, volatile: true });
            await one.count(2);
            assert.deepEqual(one.ns, [0, 1]);
            server.mayBeDown = true;
            for (const { code } of await server.stop())
                assert.equal(code, 0, server.said());
        });
