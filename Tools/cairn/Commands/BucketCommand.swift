// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on buckets.
struct BucketCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bucket",
        abstract: "Create, list, describe and remove buckets, and govern their keys.",
        subcommands: [
            Create.self, List.self, Describe.self, Remove.self, SetKey.self, RotateKey.self,
            Rewrap.self, Shred.self, Purge.self, Versions.self, BucketLifecycleCommand.self,
            BucketEventsCommand.self,
        ])

    /// Creates a bucket.
    struct Create: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an empty bucket.",
            discussion: """
                A name is 2 to 256 characters, parts of a-z and 0-9 joined by `.`, `_`, `__` or \
                `-`, separated by `/`. Repositories of the registry have at most 255.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        @Option(
            help: ArgumentHelp(
                "The customer key of the bucket, by id or alias (default: the store's own).",
                valueName: "key"))
        var key: String?

        @Option(
            help: ArgumentHelp(
                "Whom the bucket shares chunks with: `key` (buckets under the same key), "
                    + "`account` (all that ask for it, whatever their keys) or `bucket` (none).",
                valueName: "whom"))
        var dedup: String?

        func perform() async throws {
            let bucket = try await withAccess { access in
                try await access.createBucket(name, key: key, deduplication: dedup)
            }
            try options.json ? Output.json(bucket) : Output.line(bucket.name)
        }
    }

    /// Lists buckets.
    struct List: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the buckets by name: NAME BLOBS BYTES.")

        @OptionGroup var options: StoreOptions

        func perform() async throws {
            let buckets = try await withAccess { access in
                try await Pages.all { last in
                    try await access.buckets(after: last?.name, limit: Pages.countMax)
                }
            }
            if options.json { return try Output.json(Document.Buckets(buckets: buckets)) }
            for bucket in buckets {
                try Output.line("\(bucket.name) \(bucket.blobCount) \(bucket.logicalByteCount)")
            }
        }
    }

    /// Describes a bucket.
    struct Describe: StoreCommand {
        static let configuration = CommandConfiguration(abstract: "Describe one bucket.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        func perform() async throws {
            let bucket = try await withAccess { try await $0.bucket(name) }
            if options.json { return try Output.json(bucket) }
            try Output.table([
                ("name", bucket.name),
                ("id", bucket.id),
                ("created", bucket.createdAt),
                ("blobs", "\(bucket.blobCount)"),
                ("bytes", "\(bucket.logicalByteCount)"),
                ("objects", "\(bucket.objectCount)"),
                ("older versions", "\(bucket.olderVersionCount)"),
                ("key", bucket.customerKey ?? "the store's own"),
                ("key generation", "\(bucket.keyGeneration)"),
                ("deduplication", bucket.deduplication),
            ])
        }
    }

    /// Tells or sets whether a bucket keeps versions of its objects.
    struct Versions: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "versioning",
            abstract: "Print or set whether a bucket keeps older versions of its objects.",
            discussion: """
                `enabled` keeps what writes and removals replace; `suspended` keeps what there is, \
                and no more; `off` is how buckets begin.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        @Argument(help: ArgumentHelp("What it is to be.", valueName: "enabled|suspended"))
        var versioning: String?

        func perform() async throws {
            let value = try await withAccess {
                try await $0.versioning(of: name, setting: versioning)
            }
            try options.json
                ? Output.json(Document.Versioning(bucket: name, versioning: value))
                : Output.line(value)
        }
    }

    /// Removes a bucket.
    struct Remove: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Remove a bucket.",
            discussion: """
                Without --force only an empty one. A bucket of any size is gone at once; what only \
                it held is freed by the next sweep.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        @Flag(help: "Remove all that is in the bucket, too.")
        var force = false

        func perform() async throws {
            try await withAccess { try await $0.deleteBucket(name, withContents: force) }
            if options.json { try Output.json(Document.Removed(bucket: name)) }
        }
    }
}
