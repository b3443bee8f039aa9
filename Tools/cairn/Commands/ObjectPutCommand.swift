// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Stores a file as an object.
struct ObjectPutCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store a file as an object, and print its ETag.",
        discussion: "The object is durable, whole and visible in one step, or as it was before.")

    @OptionGroup var options: StoreOptions
    @OptionGroup var target: ObjectArguments

    @Argument(help: "The file; `-` is standard input.")
    var file: String

    @OptionGroup var conditions: ConditionOptions

    @Option(help: ArgumentHelp("The media type.", valueName: "type"))
    var contentType: String?

    @Option(help: ArgumentHelp("How answers may be cached.", valueName: "text"))
    var cacheControl: String?

    @Option(
        help: ArgumentHelp("What the writer attaches; can be repeated.", valueName: "name=value"))
    var metadata: [Pair] = []

    @Option(help: ArgumentHelp("A tag; can be repeated.", valueName: "name=value"))
    var tag: [Pair] = []

    @Option(
        help: ArgumentHelp(
            "The digest of a blob that the object keeps alive; can be repeated.",
            valueName: "digest"))
    var reference: [String] = []

    func validate() throws {
        if file == "-", options.passphraseFile == "-" {
            throw ValidationError("Standard input can be read only once.")
        }
    }

    func perform() async throws {
        var attributes = ObjectAttributesInfo()
        attributes.contentType = contentType
        attributes.cacheControl = cacheControl
        attributes.metadata = try Pair.dictionary(metadata)
        attributes.tags = try Pair.dictionary(tag)
        let put = ObjectPut(
            bucket: target.bucket, key: target.key, attributes: attributes, references: reference,
            condition: conditions.condition)
        let object = try await withAccess { access in
            let input = try await InputFile(file)
            let progress = ProgressBar(
                file, totalByteCount: input.byteCount, isWanted: !options.noProgress)
            defer { progress.clear() }
            return try await access.putObject(put, from: input.source { progress.add($0) })
        }
        try options.json ? Output.json(object) : Output.line(object.etag)
    }
}
