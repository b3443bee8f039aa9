// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on quotas.
struct QuotaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota", abstract: "Limit what buckets, and all of them together, may have.",
        discussion: """
            A limit is hard: not a byte over. Bytes count as they arrive. One below what is there \
            lets nothing more in. A call that finds no room fails with exit code 4.
            """,
        subcommands: [Set.self, Get.self, List.self, Charging.self])

    /// Sets limits.
    struct Set: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set limits; those that are not named stay, `none` takes one away.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name; none is all buckets together.")
        var bucket: String?

        @Option(
            help: ArgumentHelp(
                "Bytes of blobs and of uploads under way: \(ByteQuantity.help).",
                valueName: "bytes"))
        var bytes: LimitArgument<ByteQuantity>?

        @Option(help: ArgumentHelp("Blobs.", valueName: "count"))
        var blobs: LimitArgument<UInt64>?

        @Option(help: ArgumentHelp("Objects; manifests and tags are some.", valueName: "count"))
        var objects: LimitArgument<UInt64>?

        @Option(help: ArgumentHelp("Bytes of each single blob.", valueName: "bytes"))
        var blobBytes: LimitArgument<ByteQuantity>?

        @Option(help: ArgumentHelp("Uploads that are open at once.", valueName: "count"))
        var uploads: LimitArgument<UInt64>?

        @Option(
            help: ArgumentHelp(
                "From how many percent of a limit on an event warns, 1 to 100.",
                valueName: "percent"))
        var warn: LimitArgument<Int>?

        func validate() throws {
            guard
                bytes != nil || blobs != nil || objects != nil || blobBytes != nil
                    || uploads != nil || warn != nil
            else { throw ValidationError("Name at least one limit.") }
        }

        func perform() async throws {
            let quota = try await withAccess { access in
                var quota = try await access.quota(of: bucket)
                quota.bytes = bytes.map { $0.value?.byteCount } ?? quota.bytes
                quota.blobs = blobs.map(\.value) ?? quota.blobs
                quota.objects = objects.map(\.value) ?? quota.objects
                quota.blobBytes = blobBytes.map { $0.value?.byteCount } ?? quota.blobBytes
                quota.uploads = uploads.map(\.value) ?? quota.uploads
                quota.warningPercent = warn.map(\.value) ?? quota.warningPercent
                return try await access.quota(of: bucket, setting: quota)
            }
            if options.json { try Output.json(quota) }
        }
    }

    /// Prints limits.
    struct Get: StoreCommand {
        static let configuration = CommandConfiguration(abstract: "Print limits.")

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name; none is all buckets together.")
        var bucket: String?

        func perform() async throws {
            let quota = try await withAccess { try await $0.quota(of: bucket) }
            if options.json { return try Output.json(quota) }
            func text(_ limit: UInt64?, isBytes: Bool = false) -> String {
                limit.map { isBytes ? Quantity.exact($0) : "\($0)" } ?? "none"
            }
            try Output.table([
                ("bytes", text(quota.bytes, isBytes: true)),
                ("blobs", text(quota.blobs)),
                ("objects", text(quota.objects)),
                ("bytes of a blob", text(quota.blobBytes, isBytes: true)),
                ("open uploads", text(quota.uploads)),
                ("warns at", quota.warningPercent.map { "\($0) %" } ?? "never"),
            ])
        }
    }

    /// Lists limits.
    struct List: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the buckets that have limits.")

        @OptionGroup var options: StoreOptions

        func perform() async throws {
            let quotas = try await withAccess { access in
                var quotas: [QuotaListing.Entry] = []
                var next: String?
                repeat {
                    let page = try await access.quotas(after: next, limit: Pages.countMax)
                    quotas += page.quotas
                    next = page.next
                } while next != nil
                return quotas
            }
            if options.json { return try Output.json(Document.Quotas(quotas: quotas)) }
            for entry in quotas {
                let most = entry.quota.bytes.map(Quantity.bytes) ?? "any amount"
                try Output.line(
                    "\(entry.bucket)  \(Quantity.bytes(entry.usedBytes)) of \(most)")
            }
        }
    }

    /// Who pays.
    struct Charging: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print, or set, who pays for blobs that several buckets have.",
            discussion: """
                `logical`: each of them, in full. `unique`: the one that had it first. `fairShare`: \
                all in equal parts. Quotas follow at once, bills from the next month on.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "`logical`, `unique` or `fairShare`; none prints it.")
        var mode: String?

        func perform() async throws {
            let mode = try await withAccess { try await $0.charging(setting: self.mode) }
            if options.json {
                try Output.json(Document.Charging(charging: mode))
            } else if self.mode == nil {
                try Output.line(mode)
            }
        }
    }
}

extension LimitArgument {
    /// Nil: no limit.
    fileprivate var value: Number? { if case .some(let number) = self { number } else { nil } }
}
