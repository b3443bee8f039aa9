// Part of Cairn, a content-addressed blob store.
