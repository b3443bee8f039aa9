// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer
internal import FoundationEssentials

/// The commands on lifecycle rules.
struct BucketLifecycleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lifecycle",
        abstract: "Print, set, try and apply the lifecycle rules of buckets.",
        discussion: """
            Rules are a JSON array. Each has an `id` and says what goes, and when: \
            `expirationDays` or `expirationDate`, `noncurrentDays` with `keepNewest`, \
            `removeExpiredDeleteMarkers`, `incompleteUploadDays`. `prefix`, `tags`, `byteCountMin` \
            and `byteCountMax` say of which objects, `enabled` whether at all. A running \
            `cairn serve` applies them by itself, about once a minute.
            """,
        subcommands: [Get.self, Set.self, Preview.self, Apply.self])

    /// Prints rules.
    struct Get: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the rules of a bucket, as `set` takes them.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        func perform() async throws {
            try Output.json(try await withAccess { try await $0.lifecycle(of: bucket) })
        }
    }

    /// Sets rules.
    struct Set: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a bucket other rules, in place of all it has; `[]` removes them.",
            discussion: "See what they would do with `preview BUCKET FILE` before.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        @Argument(help: "The file with the rules; `-` is standard input.")
        var file: String

        func perform() async throws {
            let rules = try await LifecycleFile.read(file)
            let set = try await withAccess { try await $0.lifecycle(of: bucket, setting: rules) }
            if options.json { try Output.json(set) }
        }
    }

    /// Tries rules.
    struct Preview: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell what rules would remove and free now, and change nothing.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        @Argument(help: "A file with rules to be tried (default: those of the bucket).")
        var file: String?

        func perform() async throws {
            var rules: [LifecycleRuleInfo]?
            if let file { rules = try await LifecycleFile.read(file) }
            let preview = try await withAccess {
                try await $0.previewLifecycle(of: bucket, trying: rules)
            }
            if options.json { return try Output.json(preview) }
            try Output.table([
                ("objects that expire", "\(preview.expiredObjectCount)"),
                ("versions to remove", "\(preview.removedVersionCount)"),
                ("uploads to abort", "\(preview.abortedUploadCount)"),
                ("blobs to remove", "\(preview.removedBlobCount)"),
                ("their bytes", Quantity.exact(preview.logicalByteCount)),
                ("bytes to free", Quantity.exact(preview.freedByteCount)),
            ])
        }
    }

    /// Applies rules.
    struct Apply: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Do what the rules of all buckets want done by now.",
            discussion: "What has gone is freed by the next `cairn sweep`.")

        @OptionGroup var options: StoreOptions

        func perform() async throws {
            let report = try await withAccess { try await $0.applyLifecycle() }
            if options.json { return try Output.json(report) }
            var rows = [
                ("objects expired", "\(report.expiredObjectCount)"),
                ("versions removed", "\(report.removedVersionCount)"),
            ]
            if report.lockedKeyCount > 0 {
                rows.append(("left, key not usable", "\(report.lockedKeyCount)"))
            }
            if report.skippedKeyCount > 0 {
                rows.append(("left, see `cairn verify`", "\(report.skippedKeyCount)"))
            }
            try Output.table(rows)
        }
    }
}

/// A file with lifecycle rules.
private enum LifecycleFile {
    /// A hundred rules with the longest prefixes fit many times.
    static let byteCountMax = 4 << 20

    static func read(_ name: String) async throws -> [LifecycleRuleInfo] {
        let input = try await InputFile(name)
        let source = input.source { _ in }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= byteCountMax {
            let count = try await source(&buffer)
            if count == 0 { break }
            bytes += buffer.prefix(count)
        }
        guard bytes.count <= byteCountMax else {
            throw CommandFailure(
                code: "invalidArgument", message: "\(name) has more than \(byteCountMax) bytes.")
        }
        do {
            return try JSONDecoder().decode([LifecycleRuleInfo].self, from: Data(bytes))
        } catch {
            throw CommandFailure(
                code: "invalidArgument", message: "\(name) is no JSON array of rules: \(error)")
        }
    }
}
