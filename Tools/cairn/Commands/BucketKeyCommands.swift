// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

// The commands on the keys of buckets.
extension BucketCommand {
    /// Puts a bucket under another key.
    struct SetKey: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a bucket under another customer key.",
            discussion: """
                Its keys are wrapped anew; no blob is written anew. The old key is not needed any \
                more. New blobs are shared with the buckets under the new key, or with whom \
                --dedup says.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        @Option(
            help: ArgumentHelp(
                "The customer key, by id or alias.", valueName: "key"))
        var key: String?

        @Flag(help: "Not a customer key, but the store's own.")
        var storeKey = false

        @Option(
            help: ArgumentHelp(
                "Whom to share chunks with from now on: `key`, `account` or `bucket`.",
                valueName: "whom"))
        var dedup: String?

        mutating func validate() throws {
            if key != nil, storeKey {
                throw ValidationError("Give --key or --store-key, not both.")
            }
            if key == nil, !storeKey, dedup == nil {
                throw ValidationError("Give --key, --store-key or --dedup.")
            }
        }

        func perform() async throws {
            let bucket = try await withAccess { access in
                try await access.bucket(
                    .setEncryption(
                        bucket: name, key: key, usesStoreKey: storeKey, deduplication: dedup))
            }
            if options.json { try Output.json(bucket) }
        }
    }

    /// Rotates the data key of a bucket.
    struct RotateKey: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a new generation of a bucket's data key.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        func perform() async throws {
            let bucket = try await withAccess { access in
                try await access.bucket(.rotateDataKey(bucket: name))
            }
            try options.json ? Output.json(bucket) : Output.line("\(bucket.keyGeneration)")
        }
    }

    /// Wraps data keys anew.
    struct Rewrap: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Wrap data keys with the newest material of their customer keys.",
            discussion: """
                After a rotation: of one bucket, of all buckets under --key, or of all. Can be \
                interrupted and run again. Prints how many keys were wrapped anew.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name; without it, all buckets.")
        var name: String?

        @Option(
            help: ArgumentHelp("Only buckets under this key, by id or alias.", valueName: "key"))
        var key: String?

        mutating func validate() throws {
            if name != nil, key != nil {
                throw ValidationError("Give a bucket or --key, not both.")
            }
        }

        func perform() async throws {
            let report = try await withAccess { access in
                try await access.rewrap(bucket: name, key: key)
            }
            if options.json { return try Output.json(report) }
            try Output.line("\(report.rewrappedCount)")
            if report.unavailableBucketCount > 0 {
                try Output.line(
                    "left out: \(report.unavailableBucketCount) buckets whose key is disabled")
            }
        }
    }

    /// Destroys a bucket with its keys.
    struct Shred: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Destroy a bucket and its keys, so that nobody can ever read it again.",
            discussion: """
                The keys are gone from every file of the store. Chunks that other buckets share \
                stay readable there. Backups are not reached: what is in them can still be read \
                with them, unless the customer key is destroyed too. Prints a receipt.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var name: String

        @Flag(help: "Confirm that everything in the bucket is to be lost.")
        var yes = false

        mutating func validate() throws {
            if !yes { throw ValidationError("Give --yes: a shredded bucket is lost for good.") }
        }

        func perform() async throws {
            let receipt = try await withAccess { try await $0.shredBucket(name) }
            if options.json { return try Output.json(receipt) }
            try Output.table([
                ("bucket", receipt.bucket),
                ("id", receipt.bucketID),
                ("customer key", receipt.customerKey ?? "the store's own"),
                ("keys destroyed", "\(receipt.keyCount)"),
                ("blobs lost", "\(receipt.blobCount)"),
                ("bytes lost", "\(receipt.logicalByteCount)"),
                ("time", receipt.time),
                ("audit log", receipt.auditHead),
            ])
            if !receipt.isPurged { try Output.line(Purge.again) }
            for directory in receipt.olderIndexes {
                try Output.line("remove \(directory): a repair left it, with the keys in it")
            }
        }
    }

    /// Removes what deleted buckets have left.
    struct Purge: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove from the store's files what removed buckets have left there.",
            discussion: """
                `cairn bucket shred` does so for its bucket; this does it for all that were \
                removed, or goes on where a shredding was interrupted.
                """)

        @OptionGroup var options: StoreOptions

        func perform() async throws {
            let isPurged = try await withAccess { try await $0.purge() }
            if options.json { return try Output.json(Document.Purged(isPurged: isPurged)) }
            if !isPurged { try Output.line(Self.again) }
        }

        static let again = "some of it is still being read: run `cairn bucket purge` again later"
    }
}
