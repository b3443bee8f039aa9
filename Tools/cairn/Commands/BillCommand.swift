// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Prints what was held in a month.
struct BillCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "bill", abstract: "Print what buckets have held in a month, over time.",
        discussion: """
            Each figure is a sum of bytes times the time for which they were held, in whole \
            numbers; a GB-month is 10^9 bytes for the whole month. Months and days are those of \
            UTC. See how a figure comes about with --days.
            """)

    @OptionGroup var options: StoreOptions

    @Option(help: ArgumentHelp("The month.", valueName: "YYYY-MM"))
    var month: String

    @Option(help: ArgumentHelp("One bucket alone.", valueName: "name"))
    var bucket: String?

    @Flag(help: "Day by day.")
    var days = false

    @Flag(help: "Comma-separated values.")
    var csv = false

    func validate() throws {
        if csv, options.json { throw ValidationError("Give --csv or --json, not both.") }
    }

    func perform() async throws {
        let bill = try await withAccess {
            try await $0.bill(month, bucket: bucket, includesDays: days)
        }
        if options.json { return try Output.json(bill) }
        if csv { return try Output.csv(rows(bill)) }
        for bucket in bill.buckets {
            try Output.line("\(bucket.bucket)  \(text(bucket.total))")
            try printTraffic(bucket.transferredBytes, bucket.requests)
            for day in bucket.days ?? [] {
                try Output.line(
                    "  \(day.date)  \(Quantity.bytes(day.startBytes)) to "
                        + "\(Quantity.bytes(day.endBytes))  \(day.total.byteSeconds) byte-seconds")
            }
        }
        let state = bill.isFinal ? "final" : "until \(bill.end)"
        try Output.line("\(bill.month), \(bill.charging), \(state)  \(text(bill.total))")
        try printTraffic(bill.transferredBytes, bill.requests)
    }

    private func printTraffic(
        _ transferred: [String: UInt64], _ requests: [String: UInt64]
    ) throws {
        let parts =
            transferred.sorted { $0.key < $1.key }.filter { $0.value > 0 }.map {
                "\(Quantity.bytes($0.value)) out, \($0.key)"
            }
            + requests.sorted { $0.key < $1.key }.filter { $0.value > 0 }.map {
                "\($0.value) \($0.key)"
            }
        if !parts.isEmpty { try Output.line("  " + parts.joined(separator: "; ")) }
    }

    private func text(_ time: ByteTimeInfo) -> String {
        "\(Quantity.factor(time.gigabyteMonths, digits: 6)) GB-months"
            + " (\(time.byteSeconds) byte-seconds)"
    }

    private func rows(_ bill: BillInfo) -> [[String]] {
        let transfers = bill.transferredBytes.keys.sorted()
        let requests = bill.requests.keys.sorted()
        let time =
            ["byteSeconds", "byteNanoseconds", "gigabyteMonths"]
            + transfers.map { $0 + "Bytes" } + requests.map { $0 + "Requests" }
        func values(
            _ time: ByteTimeInfo, _ transferred: [String: UInt64], _ asked: [String: UInt64]
        ) -> [String] {
            [time.byteSeconds, time.byteNanoseconds, "\(time.gigabyteMonths)"]
                + transfers.map { "\(transferred[$0] ?? 0)" } + requests.map { "\(asked[$0] ?? 0)" }
        }
        guard days else {
            return [["bucket", "id"] + time]
                + bill.buckets.map {
                    [$0.bucket, $0.id] + values($0.total, $0.transferredBytes, $0.requests)
                }
        }
        return [["bucket", "id", "date", "startBytes", "endBytes"] + time]
            + bill.buckets.flatMap { bucket in
                (bucket.days ?? []).map { day in
                    [bucket.bucket, bucket.id, day.date, "\(day.startBytes)", "\(day.endBytes)"]
                        + values(day.total, day.transferredBytes, day.requests)
                }
            }
    }
}
