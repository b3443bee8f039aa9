// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnCore
internal import CairnServer

/// Removes blobs.
struct RemoveCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove blobs from a bucket.",
        discussion: """
            Other buckets keep theirs. The command stops at the first blob that it cannot remove; \
            those before it are gone.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Argument(help: "The digests of the blobs.")
    var digests: [Digest]

    func perform() async throws {
        try await withAccess { access in
            for digest in digests { try await access.deleteBlob(digest, in: bucket) }
        }
        if options.json {
            try Output.json(
                Document.Removed(bucket: bucket, digests: digests.map(\.description)))
        }
    }
}
