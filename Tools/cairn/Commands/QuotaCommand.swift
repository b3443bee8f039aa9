// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnServer

/// The commands on quotas.
struct QuotaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota", abstract: "Limit what buckets, and all of them together, may have.",
        discussion: """
            A limit is hard: not a byte over. Bytes count as they arrive. One below what is there \
            lets nothing more in. A call that finds no room fails with exit code 4.
            """,
        subcommands: [Set.self, Get.self, List.self, Charging.self, Allowance.self, Public.self])

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
                `logical`: each of them, in full. `unique`: the one that had it first. \
                `fairShare`: all in equal parts. Quotas follow at once, bills from the next month \
                on.
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

extension QuotaCommand {
    /// Allowances of the month.
    struct Allowance: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print, or set, what may be used in a month.",
            discussion: """
                Storage counts as bytes held for the whole month, transfers as bytes that went \
                out. Beyond an allowance `deny` refuses uploads or pulls until the month is over, \
                `warn` says so here, `allow` does nothing. --free-tier sets 500 MB of private and \
                50 GB of public storage, 500 GB to anonymous clients, 5 TB to those signed in.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(
            help: """
                `privateStorage`, `publicStorage`, `anonymousTransfer` or `signedInTransfer`; none \
                prints all.
                """)
        var kind: String?

        @Argument(help: "The bytes, or `none`: \(ByteQuantity.help).")
        var bytes: LimitArgument<ByteQuantity>?

        @Option(help: ArgumentHelp("`allow`, `warn` or `deny`.", valueName: "action"))
        var action = "warn"

        @Flag(help: "The amounts of the free tiers of public registries.")
        var freeTier = false

        func validate() throws {
            if (kind == nil) != (bytes == nil) {
                throw ValidationError("Give a kind and its bytes.")
            }
            if freeTier, kind != nil { throw ValidationError("Give --free-tier or a kind.") }
        }

        func perform() async throws {
            var wanted: [AllowanceInfo]?
            if let kind, let bytes {
                let info = AllowanceInfo(
                    kind: kind, bytes: bytes.value?.byteCount, action: action)
                wanted = [info]
            } else if freeTier {
                let amounts = Allowances.freeTier(.warn)
                wanted = Allowances.Kind.allCases.map { kind in
                    AllowanceInfo(kind: kind.name, bytes: amounts[kind]?.amount, action: action)
                }
            }
            let allowances = try await withAccess { try await $0.allowances(setting: wanted) }
            if options.json {
                return try Output.json(Document.Allowances(allowances: allowances))
            }
            try Output.table(
                allowances.map { info in
                    let used = Quantity.bytes(info.usedBytes ?? 0)
                    let most = Quantity.bytes(info.bytes ?? 0)
                    let state = info.isExceeded == true ? ", used up" : ""
                    return (info.kind, "\(used) of \(most), \(info.action ?? "")\(state)")
                })
        }
    }

    /// Who may read.
    struct Public: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print, or say, whether a bucket is public.",
            discussion: """
                It decides about the allowance for its storage. The built-in server lets everybody \
                read every repository.
                """)

        @OptionGroup var options: StoreOptions

        @Argument(help: "The bucket's name.")
        var bucket: String

        @Argument(help: "`yes` or `no`; none prints it.")
        var value: Answer?

        enum Answer: String, ExpressibleByArgument {
            case yes, no
        }

        func perform() async throws {
            let isPublic = try await withAccess {
                try await $0.isPublic(bucket, setting: value.map { $0 == .yes })
            }
            if options.json {
                try Output.json(Document.Visibility(bucket: bucket, isPublic: isPublic))
            } else if value == nil {
                try Output.line(isPublic ? "yes" : "no")
            }
        }
    }
}

extension LimitArgument {
    /// Nil: no limit.
    fileprivate var value: Number? { if case .some(let number) = self { number } else { nil } }
}
