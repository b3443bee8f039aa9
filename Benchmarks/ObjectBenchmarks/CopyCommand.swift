// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import CairnCore

/// Copies, by size.
struct CopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy", abstract: "Time copies of objects of different sizes, in turn.")

    @OptionGroup var place: Place

    @Option(help: "Kibibytes of the objects.")
    var kibibytes = [1, 1024, 1 << 20]

    @Option(help: "Copies of each size; medians are printed.")
    var rounds = 101

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let bucket = try await store.defaultAccount.createBucket("objects")
            let other = try await store.defaultAccount.createBucket("other")
            for size in kibibytes {
                try await bucket.putObject("\(size)") { session in
                    var random = SystemRandomNumberGenerator()
                    var left = size << 10
                    while left > 0 {
                        let count = min(left, 1 << 20)
                        let bytes = (0..<count >> 3).flatMap { _ in
                            withUnsafeBytes(of: random.next()) { Array($0) }
                        }
                        try await session.append(bytes.span)
                        left -= count
                    }
                }
            }
            var times: [[Double]] = Array(repeating: [], count: kibibytes.count)
            var across = times
            // In turn, so that what disturbs the machine disturbs all sizes.
            for round in 0..<rounds {
                for (index, size) in kibibytes.enumerated() {
                    times[index].append(
                        try await milliseconds {
                            try await bucket.copyObject("\(size)", to: "copy/\(size)/\(round)")
                        })
                    across[index].append(
                        try await milliseconds {
                            try await bucket.copyObject(
                                "\(size)", to: "copy/\(size)/\(round)", in: other)
                        })
                    try await other.deleteObject("copy/\(size)/\(round)")
                }
            }
            print("| KiB | copy in the bucket, ms | copy to another bucket, ms |")
            print("|---|---|---|")
            for (index, size) in kibibytes.enumerated() {
                let cells = [times[index], across[index]].map { $0.quantile(0.5).formatted(3) }
                print("| \(size) | \(cells.joined(separator: " | ")) |")
            }
            try await store.close()
        }
    }
}
