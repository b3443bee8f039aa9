// Part of Cairn, a content-addressed blob store.

import BenchmarkSupport

/// The costs of all contestants over all rounds.
struct Series {
    private(set) var names: [String] = []
    private var costs: [String: [Cost]] = [:]
    var notes: [String: String] = [:]

    mutating func add(_ name: String, _ cost: Cost) {
        if costs[name] == nil { names.append(name) }
        costs[name, default: []].append(cost)
    }

    func values(_ name: String, _ figure: (Cost) -> Double) -> [Double] {
        (costs[name] ?? []).map(figure)
    }

    func median(_ name: String, _ figure: (Cost) -> Double) -> Double {
        values(name, figure).median
    }

    /// The median over the rounds of one contestant's figure over another's.
    func ratio(_ name: String, to other: String, _ figure: (Cost) -> Double) -> Double {
        zip(values(name, figure), values(other, figure)).map { $0 / $1 }.median
    }

    /// Memory that the work itself took, in MiB.
    func extraMebibytes(_ name: String) -> Double {
        median(name) { Double(($0.peakByteCount ?? 0) - ($0.idleByteCount ?? 0)) / 1_048_576 }
    }
}

extension [Double] {
    var median: Double {
        guard !isEmpty else { return .nan }
        let ordered = sorted()
        let middle = count / 2
        return count.isMultiple(of: 2)
            ? (ordered[middle - 1] + ordered[middle]) / 2 : ordered[middle]
    }
}

/// Tables of medians in Markdown.
enum Report {
    /// Wall and CPU seconds, and the ratios to the contestants that set the pace.
    static func table(_ series: Series, against paces: [String]) -> String {
        let ratios = paces.map { "wall / \($0)" } + ["CPU / \(paces[0])"]
        var lines = [row(["", "wall s", "CPU s", "extra MiB"] + ratios)]
        lines.append(row(Array(repeating: "---", count: 4 + ratios.count)))
        for name in series.names {
            let isForeign = paces.contains(name)
            var cells = [
                name, series.median(name, \.wallSeconds).formatted(3),
                series.median(name, \.cpuSeconds).formatted(3),
                isForeign ? "" : series.extraMebibytes(name).formatted(1),
            ]
            cells += paces.map { series.ratio(name, to: $0, \.wallSeconds).formatted(2) }
            cells.append(series.ratio(name, to: paces[0], \.cpuSeconds).formatted(2))
            lines.append(row(cells))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Commits per second; each contestant is compared with the one before it.
    static func rates(_ series: Series, count: Int) -> String {
        var lines = [row(["", "per second", "CPU us each", "extra MiB", "times the files"])]
        lines.append(row(Array(repeating: "---", count: 5)))
        var files = ""
        for name in series.names {
            let isFiles = name.hasSuffix("files")
            if isFiles { files = name }
            let rate = series.median(name) { Double(count) / $0.wallSeconds }
            lines.append(
                row([
                    name, rate.formatted(0),
                    series.median(name) { $0.cpuSeconds * 1e6 / Double(count) }.formatted(0),
                    isFiles ? "" : series.extraMebibytes(name).formatted(1),
                    isFiles ? "" : series.ratio(files, to: name, \.wallSeconds).formatted(1),
                ]))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func row(_ cells: [String]) -> String {
        "| " + cells.joined(separator: " | ") + " |"
    }
}
