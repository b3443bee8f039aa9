// swift-tools-version: 6.2
// Part of Cairn, a content-addressed blob store.
import PackageDescription

let settings: [SwiftSetting] = [
    // Data races are compile errors.
    .swiftLanguageMode(.v6),
    // A dynamic dispatch is visible where it is paid for.
    .enableUpcomingFeature("ExistentialAny"),
    // A C library never leaks into the interface of the module that wraps it.
    .enableUpcomingFeature("InternalImportsByDefault"),
    // A member comes from a module that the file itself imports.
    .enableUpcomingFeature("MemberImportVisibility"),
    // An async call stays on its caller's executor: no hop per call.
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // Views of owned memory can be returned without a copy.
    .enableExperimentalFeature("Lifetimes"),
    // A warning never survives a build.
    .treatAllWarnings(as: .error),
]

// Each use of a pointer says `unsafe`; tests are free of that duty.
let strict: [SwiftSetting] = settings + [.strictMemorySafety()]

// Calls into libraries are bound when the program starts. A call that is bound when it is first made
// saves the vector registers on the stack, and with them what was last copied: a part of a key.
let boundAtStart: [LinkerSetting] = [.unsafeFlags(["-Xlinker", "-z", "-Xlinker", "now"])]

let package = Package(
    name: "cairn",
    products: [
        .library(name: "CairnCore", targets: ["CairnCore"]),
        .library(name: "CairnKeys", targets: ["CairnKeys"]),
        .library(name: "Cairn", targets: ["Cairn"]),
        .library(name: "CairnRegistry", targets: ["CairnRegistry"]),
        .library(name: "CairnServer", targets: ["CairnServer"]),
        .library(name: "CairnPKCS11", targets: ["CairnPKCS11"]),
        .library(name: "CairnDriver", targets: ["CairnDriver"]),
        .library(name: "CairnTesting", targets: ["CairnTesting"]),
        .executable(name: "cairn", targets: ["cairn"]),
        .executable(name: "tiny-registry", targets: ["tiny-registry"]),
    ],
    dependencies: [
        // Option parsing, help texts and shell completion of the command line tool.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // The HTTP server under the registry and the admin socket.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        // The HTTP client that reaches the admin socket of a running server.
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        // The interface through which stores count and measure, whatever collects the figures.
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        // Leveled, structured logs in the server.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // Byte buffers and sockets of the server.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // Orderly start and stop of the server on signals.
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // MARK: C libraries

        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(
            name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"])]),
        // Declarations alone: the library behind them is loaded when a provider is opened.
        .systemLibrary(
            name: "CPKCS11", pkgConfig: "p11-kit-1", providers: [.apt(["libp11-kit-dev"])]),
        .target(name: "CairnKernels"),

        // MARK: The store, from the bottom up

        .target(
            name: "CairnCore", dependencies: ["COpenSSL", "CLZ4", "CairnKernels"],
            swiftSettings: strict),
        .target(name: "CairnSegments", dependencies: ["CairnCore"], swiftSettings: strict),
        .target(
            name: "CairnIndex", dependencies: ["CairnCore", "CRocksDB"], swiftSettings: strict),
        .target(name: "CairnKeys", dependencies: ["CairnCore"], swiftSettings: strict),
        .target(
            name: "CairnPKCS11", dependencies: ["CPKCS11", "CairnCore", "CairnKeys"],
            swiftSettings: strict),
        .target(
            name: "Cairn",
            dependencies: [
                "CairnCore", "CairnSegments", "CairnIndex", "CairnKeys",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ], swiftSettings: strict),

        // MARK: On top of the public interface

        .target(
            name: "CairnRegistry", dependencies: ["Cairn", "CairnCore"], swiftSettings: strict),
        .target(
            name: "CairnServer",
            dependencies: [
                "Cairn", "CairnCore", "CairnKeys", "CairnRegistry",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ], swiftSettings: strict),
        // A path-based storage driver, for registries that were written for one.
        .target(name: "CairnDriver", dependencies: ["Cairn", "CairnCore"], swiftSettings: strict),
        // The code of the guides.
        .target(
            name: "CairnExamples",
            dependencies: [
                "Cairn", "CairnCore", .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
            ], swiftSettings: strict),
        .target(
            name: "CairnTesting",
            dependencies: ["Cairn", "CairnCore", "CairnIndex", "CairnKeys", "CairnSegments"],
            swiftSettings: strict),
        .executableTarget(
            name: "cairn",
            dependencies: [
                "Cairn", "CairnCore", "CairnKeys", "CairnRegistry", "CairnServer",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
            ], path: "Tools/cairn", swiftSettings: strict, linkerSettings: boundAtStart),

        .executableTarget(
            name: "tiny-registry",
            dependencies: [
                "Cairn", "CairnExamples", .product(name: "Hummingbird", package: "hummingbird"),
            ], path: "Tools/tiny-registry", swiftSettings: strict, linkerSettings: boundAtStart),

        // MARK: Tests

        .target(
            name: "CairnTestSupport",
            dependencies: [
                "Cairn", "CairnCore", "CairnIndex", "CairnKeys", "CairnSegments", "CairnTesting",
            ],
            path: "Tests/CairnTestSupport", swiftSettings: settings),
        .testTarget(
            name: "CairnCoreTests", dependencies: ["CairnCore", "CairnTestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "CairnSegmentsTests",
            dependencies: ["CairnCore", "CairnSegments", "CairnTesting", "CairnTestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "CairnIndexTests",
            dependencies: ["CairnCore", "CairnIndex", "CairnTesting", "CairnTestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "CairnKeysTests",
            dependencies: ["CairnCore", "CairnKeys", "CairnTesting", "CairnTestSupport"],
            swiftSettings: settings, linkerSettings: boundAtStart),
        .testTarget(
            name: "CairnPKCS11Tests",
            dependencies: [
                "CPKCS11", "Cairn", "CairnCore", "CairnKeys", "CairnPKCS11", "CairnTesting",
                "CairnTestSupport",
            ], swiftSettings: settings),
        .testTarget(
            name: "CairnTests",
            dependencies: [
                "Cairn", "CairnCore", "CairnIndex", "CairnKeys", "CairnSegments", "CairnTesting",
                "CairnTestSupport", .product(name: "MetricsTestKit", package: "swift-metrics"),
            ], exclude: ["Fixtures", "Histories"], swiftSettings: settings),
        .testTarget(
            name: "CairnServerTests",
            dependencies: [
                "Cairn", "CairnCore", "CairnKeys", "CairnRegistry", "CairnServer",
                "CairnTestSupport", .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(
            name: "CairnDriverTests",
            dependencies: [
                "Cairn", "CairnCore", "CairnDriver", "CairnTesting", "CairnTestSupport",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CairnExampleTests",
            dependencies: [
                "Cairn", "CairnCore", "CairnExamples", "CairnTesting", "CairnTestSupport",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(
            name: "CairnCommandTests", dependencies: ["cairn", "CairnTestSupport"],
            swiftSettings: settings),
    ]
)
