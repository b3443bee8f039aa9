// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnCore
internal import CairnServer

/// Makes a part of a bucket equal to a directory, or the other way round.
struct ObjectSyncCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Copy what differs between a directory and a bucket.",
        discussion: """
            Files below the directory become objects whose keys are the prefix and their paths; \
            with --back objects become files. Equal are those whose length and SHA-256 are. Each \
            file and each object appears whole or not at all; a sync that was interrupted is \
            finished by running it again. Symbolic links and devices are left out.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The directory.")
    var directory: String

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Argument(help: "What the keys begin with.")
    var prefix: String = ""

    @Flag(help: "From the bucket to the directory.")
    var back = false

    @Flag(help: "Also remove what the source does not have, before anything is copied.")
    var delete = false

    @Flag(help: "Only tell what would be done.")
    var dryRun = false

    @Option(help: ArgumentHelp("So many transfers at a time, 1 to 64.", valueName: "count"))
    var parallel: Int = 4

    func validate() throws {
        guard (1...64).contains(parallel) else {
            throw ValidationError("--parallel is 1 to 64.")
        }
    }

    func perform() async throws {
        let summary = try await withAccess { access in
            let thread = FileThread()
            let (directory, isBack) = (directory, back)
            let files = try await thread.run { () throws(FileFailure) in
                try FileTree.files(below: directory, mayBeMissing: isBack)
            }
            let objects = try await objects(access)
            let progress = ProgressBar(
                directory, totalByteCount: nil, isWanted: !options.noProgress)
            defer { progress.clear() }
            var summary = SyncSummary()
            // A file may be where a directory is to be, or the other way round.
            if delete { try await removeRest(access, files, objects, &summary) }
            try await transfer(access, files, objects, progress, &summary)
            return summary
        }
        if options.json { return try Output.json(summary) }
        try Output.table([
            (dryRun ? "to copy" : "copied", "\(summary.copiedCount)"),
            ("their bytes", Quantity.exact(summary.byteCount)),
            ("equal already", "\(summary.equalCount)"),
            (dryRun ? "to remove" : "removed", "\(summary.removedCount)"),
        ])
    }

    // MARK: -

    // Of all objects below the prefix that a file can be named after, by that name.
    private func objects(_ access: any AdminAccess) async throws -> [FileName: ObjectInfo] {
        var found: [FileName: ObjectInfo] = [:]
        var cursor: String?
        repeat {
            let page = try await access.objects(
                in: bucket,
                ObjectListRequest(prefix: prefix, after: cursor, limit: Pages.countMax))
            for object in page.objects {
                let name = FileName(object.key.utf8.dropFirst(prefix.utf8.count))
                guard name.isSafe else {
                    guard back else { continue }
                    throw CommandFailure(
                        code: "keyInvalid",
                        message: "\(Output.printable(object.key)) cannot be the name of a file.")
                }
                found[name] = object
            }
            cursor = page.next
        } while cursor != nil
        return found
    }

    private func transfer(
        _ access: any AdminAccess, _ files: [FileName: UInt64], _ objects: [FileName: ObjectInfo],
        _ progress: ProgressBar, _ summary: inout SyncSummary
    ) async throws {
        let names = (back ? Array(objects.keys) : Array(files.keys)).sorted()
        for name in names { progress.expect(back ? objects[name]?.byteCount : files[name]) }
        try await withThrowingTaskGroup(of: UInt64?.self) { group in
            var rest = names[...]
            func next() {
                guard let name = rest.popFirst() else { return }
                group.addTask {
                    try await copy(access, name, files[name], objects[name], progress)
                }
            }
            for _ in 0..<parallel { next() }
            while let byteCount = try await group.next() {
                summary.add(byteCount)
                next()
            }
        }
    }

    // How many bytes were copied; nil when both were equal.
    private func copy(
        _ access: any AdminAccess, _ name: FileName, _ fileByteCount: UInt64?,
        _ object: ObjectInfo?,
        _ progress: ProgressBar
    ) async throws -> UInt64? {
        if let object, fileByteCount == object.byteCount,
            try await FileTree.digest(of: name, below: directory) == object.digest
        {
            progress.add(Int(clamping: object.byteCount))
            return nil
        }
        guard !dryRun else { return back ? object?.byteCount : fileByteCount }
        guard back else {
            let input = try await InputFile(name, below: directory)
            let put = ObjectPut(bucket: bucket, key: prefix + name.text)
            return try await access.putObject(put, from: input.source { progress.add($0) })
                .byteCount
        }
        return try await FileTree.withPath(to: name, below: directory) { path in
            try await OutputFile.replacing(path, progress: { progress.add($0) }) { sink in
                try await access.getObject(
                    prefix + name.text, in: bucket, range: nil, into: sink)
            }.byteCount
        }
    }

    private func removeRest(
        _ access: any AdminAccess, _ files: [FileName: UInt64], _ objects: [FileName: ObjectInfo],
        _ summary: inout SyncSummary
    ) async throws {
        let extra =
            back
            ? Set(files.keys).subtracting(objects.keys)
            : Set(objects.keys).subtracting(files.keys)
        for name in extra.sorted() {
            if dryRun {
                // Only counted.
            } else if back {
                try await FileThread().run { [directory] () throws(FileFailure) in
                    try FileTree.remove(name, below: directory)
                }
            } else {
                try await access.deleteObject(prefix + name.text, in: bucket)
            }
            summary.removedCount += 1
        }
    }
}

/// What a sync has done.
private struct SyncSummary: Encodable {
    var copiedCount = 0
    var equalCount = 0
    var removedCount = 0
    var byteCount: UInt64 = 0

    mutating func add(_ copiedByteCount: UInt64?) {
        guard let copiedByteCount else {
            equalCount += 1
            return
        }
        copiedCount += 1
        byteCount += copiedByteCount
    }
}
