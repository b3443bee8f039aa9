// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Keeps an object from being deleted.
struct ObjectLockCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Keep a version of an object from being removed or replaced, or see what does.",
        discussion: """
            A retention ends by itself: in `compliance` mode nobody ends it before, in \
            `governance` mode --bypass-governance does. A legal hold stays until it is taken \
            away. Without options the lock is printed.
            """)

    @OptionGroup var options: StoreOptions
    @OptionGroup var target: ObjectArguments
    @OptionGroup var version: VersionOption

    @Option(
        help: ArgumentHelp(
            "`governance` or `compliance`, with --until; `none` takes the retention away.",
            valueName: "mode"))
    var retain: String?

    @Option(
        help: ArgumentHelp(
            "When the retention ends, such as 2027-01-01T00:00:00Z.", valueName: "time"))
    var until: String?

    @Option(help: ArgumentHelp("Set or take away a legal hold.", valueName: "on|off"))
    var hold: String?

    @Flag(help: "Make a retention in governance mode shorter, or take it away.")
    var bypassGovernance = false

    func validate() throws {
        if let hold, hold != "on", hold != "off" {
            throw ValidationError("--hold takes `on` or `off`.")
        }
        guard (until != nil) == (retain != nil && retain != "none") else {
            throw ValidationError("--until goes with --retain governance or compliance.")
        }
    }

    func perform() async throws {
        let object = try await withAccess { access in
            guard retain != nil || hold != nil else {
                return try await access.object(
                    .head(bucket: target.bucket, key: target.key, version: version.version))
            }
            return try await access.object(
                .lock(
                    ObjectLockChange(
                        bucket: target.bucket, key: target.key, version: version.version,
                        mode: retain, retainUntil: until, legalHold: hold.map { $0 == "on" },
                        bypassGovernance: bypassGovernance)))
        }
        if options.json { return try Output.json(object) }
        try Output.table(object.lock?.rows ?? [("lock", "none")])
    }
}

extension ObjectLockInfo {
    /// How the lock is shown.
    var rows: [(name: String, value: String)] {
        var rows: [(name: String, value: String)] = []
        if let mode, let retainUntil { rows.append(("retention", "\(mode) until \(retainUntil)")) }
        if legalHold { rows.append(("legal hold", "on")) }
        return rows
    }
}
