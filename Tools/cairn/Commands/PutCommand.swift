// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnCore
internal import CairnServer

/// Stores files as blobs.
struct PutCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store files as blobs.",
        discussion: """
            Prints DIGEST SIZE FILE for each blob once it is durable, in the order of the files; \
            with --json one document per line. The command stops at the first file that it \
            cannot store; those printed before are stored.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Argument(help: ArgumentHelp("The files; `-` is standard input.", valueName: "file"))
    var files: [String]

    @Option(
        help: ArgumentHelp(
            "The digest that the one file must have; else nothing is stored.",
            valueName: "digest"))
    var expect: Digest?

    @Option(help: ArgumentHelp("How many files to store at the same time.", valueName: "count"))
    var jobs = 4

    func validate() throws {
        if expect != nil, files.count != 1 {
            throw ValidationError("--expect goes with one file.")
        }
        // 64: each has a buffer of 1 MiB here and a window in the store.
        guard (1...64).contains(jobs) else {
            throw ValidationError("--jobs must be 1 to 64.")
        }
        let readers = (files + [options.passphraseFile]).filter { $0 == "-" }
        if readers.count > 1 {
            throw ValidationError("Standard input can be read only once.")
        }
    }

    func perform() async throws {
        try await withAccess { access in
            let progress = ProgressBar(
                files.count == 1 ? files[0] : "\(files.count) files",
                totalByteCount: nil, isWanted: !options.noProgress)
            defer { progress.clear() }
            try await store(in: access, progress)
        }
    }

    /// Stores the files, several at a time, and reports them in their order.
    private func store(in access: any AdminAccess, _ progress: ProgressBar) async throws {
        try await withThrowingTaskGroup(of: (Int, BlobInfo).self) { group in
            var waiting: [Int: BlobInfo] = [:]
            var reported = 0
            var started = 0
            while reported < files.count {
                // The window bounds what waits for an earlier file to be reported, too.
                while started < files.count, started < reported + jobs {
                    let (number, file) = (started, files[started])
                    group.addTask { [bucket, expect] in
                        let input = try await InputFile(file)
                        progress.expect(input.byteCount)
                        let blob = try await access.put(
                            into: bucket, expecting: expect, expectedByteCount: input.byteCount,
                            from: input.source { progress.add($0) },
                            duplicates: { progress.setDuplicates($0, of: number) })
                        return (number, blob)
                    }
                    started += 1
                }
                guard let (number, blob) = try await group.next() else { return }
                waiting[number] = blob
                while let blob = waiting.removeValue(forKey: reported) {
                    progress.clear()
                    try report(blob, files[reported])
                    reported += 1
                }
            }
        }
    }

    private func report(_ blob: BlobInfo, _ file: String) throws {
        if options.json {
            try Output.json(Document.Transferred(blob, file: file))
        } else {
            try Output.line("\(blob.digest) \(blob.byteCount) \(file)")
        }
    }
}
