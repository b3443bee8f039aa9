// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on upload sessions.
struct UploadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upload",
        abstract: "List and cancel upload sessions.",
        subcommands: [List.self, Cancel.self])

    /// Lists upload sessions.
    struct List: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the open upload sessions of a bucket: ID RECEIVED DURABLE EXPIRES.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        func perform() async throws {
            let uploads = try await withAccess { access in
                try await Pages.all { last in
                    try await access.uploads(
                        in: bucket, after: last?.id, limit: Pages.countMax)
                }
            }
            if options.json { return try Output.json(Document.Uploads(uploads: uploads)) }
            for upload in uploads {
                let counts = "\(upload.receivedByteCount) \(upload.durableByteCount)"
                try Output.line("\(upload.id) \(counts) \(upload.expiresAt)")
            }
        }
    }

    /// Ends an upload session.
    struct Cancel: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "End an upload session and free its bytes.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        @Argument(help: "The id of the upload session.")
        var id: String

        func perform() async throws {
            try await withAccess { try await $0.cancelUpload(id, in: bucket) }
            if options.json { try Output.json(Document.Cancelled(bucket: bucket, id: id)) }
        }
    }
}
