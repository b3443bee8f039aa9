// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnCore
internal import CairnServer

/// Says what keeps a blob alive.
struct WhyCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say what keeps a blob alive, and what giving it up would free.",
        discussion: """
            Looks into every bucket. A blob that was stored as such stays until it is removed; \
            objects, such as manifests and tags, keep what they refer to. The exit code is 3 when \
            no bucket has the blob.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The blob's digest.")
    var digest: Digest

    func perform() async throws {
        let answer = try await withAccess { try await $0.keepers(of: digest) }
        guard !answer.keepers.isEmpty else {
            throw CommandFailure(code: "blobUnknown", message: "no bucket has \(digest)")
        }
        if options.json { return try Output.json(answer) }
        for keeper in answer.keepers {
            let freed = Quantity.bytes(keeper.freedByteCount)
            let kind =
                keeper.isPinned
                ? "stored there"
                : keeper.leaseEnd.map { "leased until \($0)" } ?? "kept by objects"
            try Output.line("\(keeper.bucket): \(kind); alone it would free \(freed)")
            for key in keeper.objectKeys { try Output.line("  object \(key)") }
            let rest = keeper.objectCount - min(keeper.objectCount, UInt64(keeper.objectKeys.count))
            if rest > 0 { try Output.line("  and \(rest) more objects") }
        }
        if answer.isBeingRead { try Output.line("somebody reads it just now") }
        try Output.line("together they would free \(Quantity.exact(answer.freedByteCount))")
    }
}
