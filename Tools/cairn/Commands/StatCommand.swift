// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnCore
internal import CairnServer

/// Describes a blob.
struct StatCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat", abstract: "Describe one blob: DIGEST SIZE TIME.")

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Argument(help: "The blob's digest.")
    var digest: Digest

    func perform() async throws {
        let blob = try await withAccess { try await $0.stat(digest, in: bucket) }
        if options.json { return try Output.json(blob) }
        try Output.line("\(blob.digest) \(blob.byteCount) \(blob.createdAt)")
    }
}
