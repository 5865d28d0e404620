"""`eventroute demo`: the whole way from really signed webhooks to (simulated) answers, in one command."""
