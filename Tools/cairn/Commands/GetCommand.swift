// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnCore
internal import CairnServer

/// Reads a blob.
struct GetCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Write a blob to a file or to standard output.",
        discussion: """
            A file appears under its name only when it is whole and durable; after an error it is \
            as before. Bytes on standard output are authentic too, but an error may follow them: \
            look at the exit code.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Argument(help: "The blob's digest, such as sha256:0123...")
    var digest: Digest

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Where to write; `-` is standard output.", valueName: "file"))
    var output: String = "-"

    func validate() throws {
        if options.json, output == "-" {
            throw ValidationError("--json needs --output FILE: standard output takes the blob.")
        }
    }

    func perform() async throws {
        let blob = try await withAccess { access in
            let total = try await access.stat(digest, in: bucket).byteCount
            let progress = ProgressBar(
                output == "-" ? digest.description : output, totalByteCount: total,
                isWanted: !options.noProgress)
            defer { progress.clear() }
            return try await read(from: access, progress)
        }
        if options.json { try Output.json(Document.Transferred(blob, file: output)) }
    }

    private func read(
        from access: any AdminAccess, _ progress: ProgressBar
    ) async throws -> BlobInfo {
        try await OutputFile.writing(output, progress: { progress.add($0) }) { sink in
            try await access.get(digest, in: bucket, range: nil, into: sink)
        }
    }
}
