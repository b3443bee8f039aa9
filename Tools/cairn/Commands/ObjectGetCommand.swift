// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Reads an object.
struct ObjectGetCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Write an object to a file or to standard output.",
        discussion: """
            A file appears under its name only when it is whole and durable; after an error it is \
            as before. Bytes on standard output are authentic too, but an error may follow them: \
            look at the exit code.
            """)

    @OptionGroup var options: StoreOptions
    @OptionGroup var target: ObjectArguments
    @OptionGroup var version: VersionOption

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Where to write; `-` is standard output.", valueName: "file"))
    var output: String = OutputFile.standardOutputName

    @Option(
        help: ArgumentHelp(
            "Only these bytes: `A-B` from one to another, `A-` to the end, `-N` the last ones.",
            valueName: "range"))
    var range: String?

    func validate() throws {
        if options.json, output == OutputFile.standardOutputName {
            throw ValidationError("--json needs --output FILE: standard output takes the object.")
        }
    }

    func perform() async throws {
        let object = try await withAccess { access in
            let progress = ProgressBar(
                output == OutputFile.standardOutputName ? target.key : output,
                totalByteCount: nil, isWanted: !options.noProgress)
            defer { progress.clear() }
            return try await OutputFile.writing(output, progress: { progress.add($0) }) { sink in
                try await access.getObject(
                    target.key, version: version.version, in: target.bucket, range: range,
                    into: sink)
            }
        }
        if options.json {
            try Output.json(Document.TransferredObject(object: object, file: output))
        }
    }
}
