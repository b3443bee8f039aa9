// swift-tools-version: 6.2
// Part of Cairn, a content-addressed blob store.
import PackageDescription

// A package of its own: who builds Cairn does not build what measures it.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableExperimentalFeature("Lifetimes"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "cairn-benchmarks",
    dependencies: [
        .package(name: "cairn", path: "../"),
        // Option parsing of the comparison.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .target(
            name: "BenchmarkSupport",
            dependencies: [
                .product(name: "ArgumentParser", package: "swift-argument-parser")
            ], path: "BenchmarkSupport", swiftSettings: settings),
        .executableTarget(
            name: "ComparisonBenchmarks",
            dependencies: [
                "BenchmarkSupport",
                .product(name: "Cairn", package: "cairn"),
                .product(name: "CairnCore", package: "cairn"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "ComparisonBenchmarks", swiftSettings: settings),
        .executableTarget(
            name: "KeyBenchmarks",
            dependencies: [
                "BenchmarkSupport",
                .product(name: "Cairn", package: "cairn"),
                .product(name: "CairnCore", package: "cairn"),
                .product(name: "CairnKeys", package: "cairn"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "KeyBenchmarks", swiftSettings: settings),
        .executableTarget(
            name: "ObjectBenchmarks",
            dependencies: [
                "BenchmarkSupport",
                .product(name: "Cairn", package: "cairn"),
                .product(name: "CairnCore", package: "cairn"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "ObjectBenchmarks", swiftSettings: settings),
        .executableTarget(
            name: "UsageBenchmarks",
            dependencies: [
                "BenchmarkSupport",
                .product(name: "Cairn", package: "cairn"),
                .product(name: "CairnCore", package: "cairn"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "UsageBenchmarks", swiftSettings: settings),
        .executableTarget(
            name: "UpkeepBenchmarks",
            dependencies: [
                "BenchmarkSupport",
                .product(name: "Cairn", package: "cairn"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "UpkeepBenchmarks", swiftSettings: settings),
    ]
)
