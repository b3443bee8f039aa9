// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on objects.
struct ObjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "object",
        abstract: "Store, read, list, copy and remove objects by their keys.",
        discussion: """
            An object is a blob with a key of 1 to 1024 bytes, as in S3: put replaces, cp and mv \
            cost the same whatever the size, and conditions are decided in the same step as the \
            change.
            """,
        subcommands: [
            ObjectPutCommand.self, ObjectGetCommand.self, ObjectListCommand.self,
            ObjectVersionsCommand.self, Head.self, Copy.self, Move.self, Remove.self, Tag.self,
            ObjectLockCommand.self, ObjectSyncCommand.self,
        ])

    /// Describes an object.
    struct Head: StoreCommand {
        static let configuration = CommandConfiguration(abstract: "Describe one object.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var target: ObjectArguments
        @OptionGroup var version: VersionOption

        func perform() async throws {
            let object = try await withAccess {
                try await $0.object(
                    .head(bucket: target.bucket, key: target.key, version: version.version))
            }
            if options.json { return try Output.json(object) }
            let attributes = object.attributes
            var rows = [
                ("key", Output.printable(object.key)), ("version", object.version),
                ("etag", object.etag),
                ("digest", object.digest),
                ("bytes", "\(object.byteCount)"), ("modified", object.modifiedAt),
                ("references", "\(object.referenceCount)"),
            ]
            let headers = [
                ("content-type", attributes.contentType),
                ("cache-control", attributes.cacheControl),
                ("content-disposition", attributes.contentDisposition),
                ("content-encoding", attributes.contentEncoding),
                ("content-language", attributes.contentLanguage),
                ("expires", attributes.expires),
            ]
            rows += headers.compactMap { name, value in value.map { (name, $0) } }
            for (name, value) in attributes.metadata.sorted(by: { $0.key < $1.key }) {
                rows.append(("metadata \(name)", value))
            }
            for (name, value) in attributes.tags.sorted(by: { $0.key < $1.key }) {
                rows.append((Output.printable("tag \(name)"), Output.printable(value)))
            }
            rows += (object.checksums ?? []).map { ("checksum", $0) }
            rows += object.lock?.rows ?? []
            try Output.table(rows)
        }
    }

    /// Copies an object.
    struct Copy: ObjectTransferCommand {
        static let configuration = CommandConfiguration(
            commandName: "cp",
            abstract: "Copy an object, without copying its bytes.",
            discussion: "The blobs that it refers to come along to another bucket.")

        static var isMove: Bool { false }

        @OptionGroup var options: StoreOptions
        @OptionGroup var transfer: TransferArguments
    }

    /// Gives an object another key.
    struct Move: ObjectTransferCommand {
        static let configuration = CommandConfiguration(
            commandName: "mv",
            abstract: "Give an object another key, in one step, within or across buckets.")

        static var isMove: Bool { true }

        @OptionGroup var options: StoreOptions
        @OptionGroup var transfer: TransferArguments
    }

    /// Removes objects.
    struct Remove: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm",
            abstract: "Remove objects.",
            discussion: """
                The command stops at the first object that it cannot remove; those before it are \
                gone. Where the bucket keeps versions, a removed object stays as an older one; \
                --version removes one version for good.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        @Argument(help: "The keys of the objects.")
        var keys: [String]

        @Option(help: ArgumentHelp("Only if the one object has this tag.", valueName: "etag"))
        var ifMatch: String?

        @OptionGroup var version: VersionOption

        @Flag(help: "Remove the version although a retention in governance mode keeps it.")
        var bypassGovernance = false

        func validate() throws {
            if bypassGovernance, version.version == nil {
                throw ValidationError("--bypass-governance goes with --version.")
            }
            guard ifMatch != nil || version.version != nil else { return }
            guard keys.count == 1 else {
                throw ValidationError("--if-match and --version go with one object.")
            }
            if ifMatch != nil, version.version != nil {
                throw ValidationError("--if-match and --version exclude each other.")
            }
        }

        func perform() async throws {
            try await withAccess { access in
                for key in keys {
                    if let version = version.version {
                        try await access.deleteVersion(
                            version, ofObject: key, in: bucket, bypassGovernance: bypassGovernance)
                    } else {
                        try await access.deleteObject(key, in: bucket, ifMatch: ifMatch)
                    }
                }
            }
            if options.json { try Output.json(Document.RemovedObjects(bucket: bucket, keys: keys)) }
        }
    }

    /// Changes the tags of an object.
    struct Tag: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give an object other tags, in place of those it has; none removes all.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var target: ObjectArguments

        @Argument(help: ArgumentHelp("Up to 10 tags.", valueName: "name=value"))
        var tags: [Pair] = []

        func perform() async throws {
            let tags = try Pair.dictionary(tags)
            let object = try await withAccess {
                try await $0.object(
                    .setTags(bucket: target.bucket, key: target.key, tags: tags))
            }
            if options.json { try Output.json(object) }
        }
    }
}

/// The object that a command is about.
struct ObjectArguments: ParsableArguments {
    @Argument(help: "The bucket's name.")
    var bucket: String

    @Argument(help: "The object's key.")
    var key: String
}

/// Which version of an object.
struct VersionOption: ParsableArguments {
    @Option(help: ArgumentHelp("The version (default: the latest).", valueName: "version"))
    var version: String?
}

/// When a command may write an object.
struct ConditionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Only if no object has the key; give `*`.", valueName: "*"))
    var ifNoneMatch: String?

    @Option(
        help: ArgumentHelp(
            "Only if the object has this tag; `*` is any.", valueName: "etag"))
    var ifMatch: String?

    var condition: ObjectCondition {
        ObjectCondition(ifNoneMatch: ifNoneMatch != nil, ifMatch: ifMatch)
    }

    func validate() throws {
        if let ifNoneMatch, ifNoneMatch != "*" {
            throw ValidationError("--if-none-match takes `*` alone.")
        }
        if ifNoneMatch != nil, ifMatch != nil {
            throw ValidationError("--if-none-match and --if-match exclude each other.")
        }
    }
}

/// From where to where an object goes.
struct TransferArguments: ParsableArguments {
    @Argument(help: "The object's bucket.")
    var bucket: String

    @Argument(help: "The object's key.")
    var key: String

    @Argument(help: ArgumentHelp("The bucket it goes to.", valueName: "bucket2"))
    var targetBucket: String

    @Argument(help: ArgumentHelp("Its key there.", valueName: "key2"))
    var targetKey: String

    @OptionGroup var conditions: ConditionOptions
}

/// A command that puts an object somewhere else.
protocol ObjectTransferCommand: StoreCommand {
    /// Whether it leaves its place.
    static var isMove: Bool { get }

    var transfer: TransferArguments { get }
}

extension ObjectTransferCommand {
    func perform() async throws {
        let object = try await withAccess { access in
            try await access.object(
                .transfer(
                    ObjectTransfer(
                        bucket: transfer.bucket, key: transfer.key,
                        targetBucket: transfer.targetBucket, targetKey: transfer.targetKey,
                        isMove: Self.isMove, condition: transfer.conditions.condition)))
        }
        if options.json { return try Output.json(object) }
        try Output.line(object.line)
    }
}

extension ObjectInfo {
    /// How lists show the object.
    var line: String { "\(byteCount) \(modifiedAt) \(etag) \(Output.printable(key))" }
}
