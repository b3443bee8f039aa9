// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on customer keys.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Create customer keys and govern them.",
        discussion: """
            A KEY is named by its id or by one of its aliases. Each change is recorded in the \
            audit log (see `cairn audit`). With a server running it takes effect at once.
            """,
        subcommands: [
            Create.self, List.self, Describe.self, Alias.self, Enable.self, Disable.self,
            Rotate.self, Versions.self, ScheduleDeletion.self, CancelDeletion.self, Tag.self,
            KeyGrantsCommand.self,
        ])

    /// Creates a key.
    struct Create: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a key and print its id.")

        @OptionGroup var options: StoreOptions

        @Option(help: ArgumentHelp("An alias for the key.", valueName: "alias/NAME"))
        var alias: String?

        @Option(help: ArgumentHelp("What the key is for.", valueName: "text"))
        var description: String = ""

        @Option(help: ArgumentHelp("A tag; can be repeated.", valueName: "name=value"))
        var tag: [Pair] = []

        func perform() async throws {
            let tags = try Pair.dictionary(tag)
            let key = try await withAccess { access in
                try await access.key(
                    .create(alias: alias, description: description, tags: tags))
            }
            try options.json ? Output.json(key) : Output.line(key.id)
        }
    }

    /// Lists keys.
    struct List: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the keys: ID STATE ALIASES.")

        /// A key may have tags of 20 KB.
        private static let pageCount = 100

        @OptionGroup var options: StoreOptions

        func perform() async throws {
            let keys = try await withAccess { access in
                try await Pages.all(of: Self.pageCount) { last in
                    try await access.keys(after: last?.id, limit: Self.pageCount)
                }
            }
            if options.json { return try Output.json(Document.Keys(keys: keys)) }
            for key in keys {
                try Output.line(([key.id, key.state] + key.aliases).joined(separator: " "))
            }
        }
    }

    /// Describes a key.
    struct Describe: StoreCommand {
        static let configuration = CommandConfiguration(abstract: "Describe one key.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        func perform() async throws {
            let key = try await withAccess { try await $0.key(.describe(key: name.key)) }
            try options.json ? Output.json(key) : Output.table(key.rows)
        }
    }

    /// The commands on aliases.
    struct Alias: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create, move and remove aliases.",
            discussion: """
                A bucket keeps the key that it was given, whatever an alias leads to later. \
                Aliases under alias/cairn/ are the store's own.
                """,
            subcommands: [Create.self, Move.self, Remove.self])

        /// Makes an alias.
        struct Create: KeyChangeCommand {
            static let configuration = CommandConfiguration(
                abstract: "Let a new alias lead to a key.")

            @OptionGroup var options: StoreOptions
            @OptionGroup var name: KeyArgument

            @Argument(help: ArgumentHelp("The alias.", valueName: "alias/name"))
            var alias: String

            var change: KeyChange { .createAlias(alias) }
        }

        /// Moves an alias.
        struct Move: KeyChangeCommand {
            static let configuration = CommandConfiguration(
                abstract: "Let an alias lead to another key.")

            @OptionGroup var options: StoreOptions
            @OptionGroup var name: KeyArgument

            @Argument(help: ArgumentHelp("The alias.", valueName: "alias/name"))
            var alias: String

            var change: KeyChange { .updateAlias(alias) }
        }

        /// Removes an alias.
        struct Remove: StoreCommand {
            static let configuration = CommandConfiguration(
                commandName: "rm", abstract: "Remove an alias; its key stays.")

            @OptionGroup var options: StoreOptions

            @Argument(help: ArgumentHelp("The alias.", valueName: "alias/name"))
            var alias: String

            func perform() async throws {
                _ = try await withAccess { try await $0.perform(.deleteAlias(alias)) }
                if options.json { try Output.json(Document.RemovedAlias(alias: alias)) }
            }
        }
    }

    /// Allows the use of a key.
    struct Enable: KeyChangeCommand {
        static let configuration = CommandConfiguration(
            abstract: "Allow the use of a key again.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        var change: KeyChange { .enable }
    }

    /// Forbids the use of a key.
    struct Disable: KeyChangeCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forbid the use of a key; its buckets cannot be read or written then.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        var change: KeyChange { .disable }
    }

    /// Rotates a key, now or by itself.
    struct Rotate: KeyChangeCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a key new material, now or regularly.",
            discussion: """
                What older material has wrapped still opens; `cairn bucket rewrap --key KEY` wraps \
                it anew. At most 25 times by hand.
                """)

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        @Option(
            help: ArgumentHelp(
                "Not now, but each time after so many days, 90 to 2560; 0 ends that.",
                valueName: "days"))
        var every: Int?

        var change: KeyChange {
            every.map { .rotation(periodDays: $0 == 0 ? nil : $0) } ?? .rotate
        }
    }

    /// Lists the versions of a key.
    struct Versions: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the versions of a key's material: VERSION CREATED ORIGIN.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        func perform() async throws {
            let versions = try await withAccess { try await $0.versions(ofKey: name.key) }
            if options.json { return try Output.json(Document.KeyVersions(versions: versions)) }
            for version in versions {
                try Output.line("\(version.version) \(version.createdAt) \(version.origin)")
            }
        }
    }

    /// Lets a key be destroyed.
    struct ScheduleDeletion: KeyChangeCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forbid the use of a key, and destroy it later.",
            discussion: """
                Once it is destroyed nobody can ever read the buckets under it, in any copy of the \
                store. Until then `cairn key cancel-deletion` keeps it.
                """)

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        @Option(help: ArgumentHelp("After how many days, 7 to 30.", valueName: "days"))
        var after: Int = 30

        var change: KeyChange { .scheduleDeletion(afterDays: after) }
    }

    /// Keeps a key that was to be destroyed.
    struct CancelDeletion: KeyChangeCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a key that was to be destroyed; it is disabled then.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        var change: KeyChange { .cancelDeletion }
    }

    /// Changes the tags of a key.
    struct Tag: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add tags to a key, change them or take them away.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        @Argument(help: ArgumentHelp("Tags to add or change.", valueName: "name=value"))
        var tags: [Pair] = []

        @Option(help: ArgumentHelp("A tag to take away; can be repeated.", valueName: "name"))
        var remove: [String] = []

        func perform() async throws {
            let tags = try Pair.dictionary(tags)
            let key = try await withAccess { access in
                if !remove.isEmpty {
                    _ = try await access.key(.change(key: name.key, .untag(remove)))
                }
                return try await access.key(.change(key: name.key, .tag(tags)))
            }
            if options.json { try Output.json(key) }
        }
    }
}

/// The key that a command is about.
struct KeyArgument: ParsableArguments {
    @Argument(help: "The key's id or alias.")
    var key: String
}

/// A command that changes one key, and prints it as JSON if that is wanted.
protocol KeyChangeCommand: StoreCommand {
    /// The key.
    var name: KeyArgument { get }
    /// What is changed.
    var change: KeyChange { get }
}

extension KeyChangeCommand {
    /// Makes the change.
    func perform() async throws {
        let key = try await withAccess { access in
            try await access.key(.change(key: name.key, change))
        }
        if options.json { try Output.json(key) }
    }
}

extension KeyInfo {
    fileprivate var rows: [(name: String, value: String)] {
        var rows = [("id", id), ("state", state), ("created", createdAt)]
        rows += aliases.map { ("alias", $0) }
        if !description.isEmpty { rows.append(("description", description)) }
        rows += tags.sorted { $0.key < $1.key }.map { ("tag", "\($0.key)=\($0.value)") }
        rows.append(("versions", "\(versionCount)"))
        if let rotationPeriodDays, let nextRotationDate {
            rows.append(("rotation", "every \(rotationPeriodDays) days, next \(nextRotationDate)"))
        }
        if let deletionDate { rows.append(("destroyed on", deletionDate)) }
        if let lastUse, let lastUsedAt { rows.append(("last use", "\(lastUse) \(lastUsedAt)")) }
        return rows
    }
}
