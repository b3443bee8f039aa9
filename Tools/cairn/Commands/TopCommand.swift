// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Shows which buckets are busiest, again and again.
struct TopCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show the busiest buckets, until interrupted.",
        discussion: """
            Rates are those of the last interval: requests, bytes out, and bytes that came in, \
            uploads under way included. Sensible while `cairn serve` has the store open.
            """)

    @OptionGroup var options: StoreOptions

    @Option(help: ArgumentHelp("Seconds between two views.", valueName: "seconds"))
    var interval = 2

    @Option(help: ArgumentHelp("How many buckets.", valueName: "count"))
    var count = 20

    @Option(help: ArgumentHelp("End after so many views.", valueName: "views"))
    var views: Int?

    func validate() throws {
        guard (1...3600).contains(interval), (1...1000).contains(count), views ?? 1 >= 1 else {
            throw ValidationError(
                "--interval is 1 to 3600, --count 1 to 1000, --views 1 or more.")
        }
    }

    func perform() async throws {
        try await withAccess { access in
            var before = try await Self.figures(access)
            var shown = 0
            while views.map({ shown < $0 }) ?? true {
                try await Task.sleep(for: .seconds(interval))
                let now = try await Self.figures(access)
                try show(now, since: before)
                before = now
                shown += 1
            }
        }
    }

    /// A bucket with what became of it in an interval.
    private struct Row: Encodable {
        var bucket: String
        var requestsPerSecond: Double
        var bytesOutPerSecond: Double
        var bytesInPerSecond: Double
        var inFlightBytes: UInt64
    }

    private static func figures(
        _ access: any AdminAccess
    ) async throws -> [String: UsageInfo] {
        let usages = try await Pages.all { last in
            try await access.usages(after: last?.bucket, limit: Pages.countMax)
        }
        return Dictionary(
            usages.map { ($0.bucket ?? "", $0) }, uniquingKeysWith: { _, last in last })
    }

    private func show(
        _ now: [String: UsageInfo], since before: [String: UsageInfo]
    ) throws {
        func rate(_ figure: (UsageInfo) -> UInt64, _ name: String) -> Double {
            let (old, new) = (before[name].map(figure) ?? 0, now[name].map(figure) ?? 0)
            // Counts of a day begin anew at midnight; what was deleted is not traffic.
            return new > old ? Double(new - old) / Double(interval) : 0
        }
        let rows = now.keys.map { name in
            Row(
                bucket: name, requestsPerSecond: rate(\.requestsToday, name),
                bytesOutPerSecond: rate(\.transferredBytesToday, name),
                bytesInPerSecond: rate({ $0.logicalBytes &+ $0.inFlightBytes }, name),
                inFlightBytes: now[name]?.inFlightBytes ?? 0)
        }
        let busiest = rows.filter {
            $0.requestsPerSecond + $0.bytesOutPerSecond + $0.bytesInPerSecond > 0
                || $0.inFlightBytes > 0
        }.sorted { first, second in
            let bytes = (
                first.bytesOutPerSecond + first.bytesInPerSecond,
                second.bytesOutPerSecond + second.bytesInPerSecond
            )
            if bytes.0 != bytes.1 { return bytes.0 > bytes.1 }
            if first.requestsPerSecond != second.requestsPerSecond {
                return first.requestsPerSecond > second.requestsPerSecond
            }
            return first.bucket < second.bucket
        }.prefix(count)
        if options.json { return try Output.json(Array(busiest)) }
        // To the beginning of an empty screen, where there is one.
        if Descriptor.standardOutput.isTerminal { try Output.write("\u{1B}[H\u{1B}[2J") }
        try Output.line("requests/s      out/s       in/s  in flight  bucket")
        for row in busiest {
            try Output.line(
                Self.padded(Quantity.factor(row.requestsPerSecond, digits: 1), 10)
                    + Self.padded(Quantity.bytes(UInt64(row.bytesOutPerSecond)), 11)
                    + Self.padded(Quantity.bytes(UInt64(row.bytesInPerSecond)), 11)
                    + Self.padded(Quantity.bytes(row.inFlightBytes), 11) + "  " + row.bucket)
        }
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
