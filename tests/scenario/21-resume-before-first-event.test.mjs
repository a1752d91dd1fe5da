// A client that has joined and not seen one event yet has no offset: its session alone resumes it.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, comeBack, reader } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { publishMany, tidemark } from "./support/tidemark.mjs";

test("g5_what_is_published_while_away_is_not_lost_though_no_event_had_come_before", async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "a", 20, { first: 1000 });
    const between = await proxy(t, server);
    const one = await reader(t, between, "a");
    between.isOpen = false;
    between.cut();
    await publishMany(server, "a", 50);
    between.isOpen = true;
    await comeBack(one, 1);
    assert.equal(one.recoveries, 1);
    await one.count(50);
    await publishMany(server, "a", 1, { first: 50 });
    await one.count(51);
    assertRun(one.ns, 0, 51);
});

test("g5_and_again_where_the_first_resume_brought_nothing_either", async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const one = await reader(t, between, "a");
    for (let cut = 1; cut <= 3; cut++) {
        between.cut();
        await comeBack(one, cut);
        assert.equal(one.recoveries, cut);
    }
    between.isOpen = false;
    between.cut();
    await publishMany(server, "a", 5);
    between.isOpen = true;
    await one.count(5);
    assertRun(one.ns, 0, 5);
});
