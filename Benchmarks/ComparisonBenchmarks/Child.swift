// Part of Cairn, a content-addressed blob store.

import Foundation

/// What one run cost.
struct Cost: Codable {
    var wallSeconds: Double
    /// User and system time of the process.
    var cpuSeconds: Double
    /// The largest resident set of the process; nil for foreign programs.
    var peakByteCount: Int?
    /// The same when the store was open and idle.
    var idleByteCount: Int?
    var storedByteCount: UInt64?
}

struct ChildFailure: Error, CustomStringConvertible {
    let description: String
}

/// Runs one contestant in a process of its own.
enum Child {
    /// Times a foreign program as a whole.
    static func measure(_ program: String, _ arguments: [String]) throws -> Cost {
        let cpu = usage(RUSAGE_CHILDREN)
        let start = ContinuousClock.now
        _ = try output(program, arguments)
        return Cost(
            wallSeconds: (ContinuousClock.now - start).seconds,
            cpuSeconds: usage(RUSAGE_CHILDREN).cpuSeconds - cpu.cpuSeconds)
    }

    /// Runs a phase of Cairn, which times itself: opening the store is not part of it.
    static func phase(
        _ phase: Phase, store: String, source: String = "", count: Int = 0, writers: Int = 0
    ) throws -> Cost {
        let text = try output(
            "/proc/self/exe",
            [
                "phase", phase.rawValue, "--store", store, "--source", source,
                "--count", "\(count)", "--writers", "\(writers)",
            ])
        return try JSONDecoder().decode(Cost.self, from: Data(text.utf8))
    }

    /// What a program prints.
    static func output(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        if program == "/proc/self/exe" {
            let path = try FileManager.default.destinationOfSymbolicLink(atPath: program)
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = arguments
        } else {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [program] + arguments
        }
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw ChildFailure(
                description: "\(program) ended with status \(process.terminationStatus)")
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    static func usage(_ who: __rusage_who) -> (cpuSeconds: Double, peakByteCount: Int) {
        var usage = rusage()
        getrusage(__rusage_who_t(who.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return (seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss * 1024)
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
