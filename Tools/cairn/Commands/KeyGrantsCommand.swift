// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on grants of keys.
struct KeyGrantsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grants",
        abstract: "List, create and revoke grants of a key.",
        discussion: """
            A grant lets a principal of the embedding server use a key. The store itself needs none.
            """,
        subcommands: [List.self, Create.self, Revoke.self])

    /// Lists grants.
    struct List: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the grants of a key: ID PRINCIPAL OPERATIONS.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        func perform() async throws {
            let grants = try await withAccess { try await $0.grants(ofKey: name.key) }
            if options.json { return try Output.json(Document.Grants(grants: grants)) }
            for grant in grants {
                let operations = grant.operations.joined(separator: ",")
                try Output.line("\(grant.id) \(grant.principal) \(operations)")
            }
        }
    }

    /// Creates a grant.
    struct Create: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a principal use a key, and print the id of the grant.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        @Option(help: ArgumentHelp("Who may use the key.", valueName: "name"))
        var principal: String

        @Option(
            help: ArgumentHelp(
                "What is allowed, as AWS KMS names it, such as Decrypt; can be repeated.",
                valueName: "name"))
        var operation: [String]

        @Option(
            help: ArgumentHelp(
                "A pair that the encryption context must have; can be repeated.",
                valueName: "name=value"))
        var context: [Pair] = []

        @Flag(help: "The context must have these pairs and no other.")
        var exact = false

        @Option(help: ArgumentHelp("Who may give the grant up.", valueName: "name"))
        var retiring: String?

        @Option(
            name: .customLong("name"),
            help: ArgumentHelp("The same name is the same grant.", valueName: "name"))
        var grantName: String?

        func perform() async throws {
            let request = GrantRequest(
                principal: principal, operations: operation,
                context: try Pair.dictionary(context), isExact: exact,
                retiringPrincipal: retiring, name: grantName)
            let grant = try await withAccess { access in
                try await access.createGrant(ofKey: name.key, request)
            }
            try options.json ? Output.json(grant) : Output.line(grant.id)
        }
    }

    /// Takes a grant back.
    struct Revoke: KeyChangeCommand {
        static let configuration = CommandConfiguration(abstract: "Take a grant back.")

        @OptionGroup var options: StoreOptions
        @OptionGroup var name: KeyArgument

        @Argument(help: "The id of the grant.")
        var grant: String

        var change: KeyChange { .revokeGrant(grant) }
    }
}
