// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Foundation
import Testing

@testable import CairnPKCS11

/// Everything that needs SoftHSM, one test after the other: its configuration is one for the
/// process, and read when the library is initialised, which the first provider of a test does.
@Suite(.serialized, .enabled(if: SoftHSM.isExpected, "Debian's package softhsm2 is not installed"))
struct SoftHSMTests {}

/// The software that plays the hardware.
enum SoftHSM {
    static let libraryPath =
        paths.first(where: FileManager.default.fileExists) ?? paths[0]
    static let toolPath = "/usr/bin/softhsm2-util"
    static let pin = "5678-user"
    static let officerPIN = "1234-officer"

    /// Whether the tests run: where the automation runs them they fail rather than being skipped.
    static let isExpected =
        isInstalled || ProcessInfo.processInfo.environment["CI"] == "true"

    static let isInstalled =
        [libraryPath, toolPath].allSatisfy(FileManager.default.fileExists)
    private static let paths = [
        "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    ]

    // Its name is set once, and by nobody else: the first such call leaves the old environment in
    // its place for threads that are reading it. Its content belongs to the test that is running.
    static let configurationPath: String = {
        let path =
            FileManager.default.temporaryDirectory.path
            + "/cairn-test-softhsm-\(ProcessInfo.processInfo.processIdentifier).conf"
        setenv("SOFTHSM2_CONF", path, 1)
        return path
    }()
}

/// A new token in a directory of its own; gone with the object.
final class SoftToken: Sendable {
    struct Failure: Error { let reason: String }

    static let labelOfFirst = "cairn test"
    let directory: TemporaryDirectory

    init() async throws {
        guard SoftHSM.isInstalled else {
            throw Failure(reason: "install Debian's package softhsm2, as Tools/test does")
        }
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path("tokens"), withIntermediateDirectories: false)
        try """
        directories.tokendir = \(directory.path("tokens"))
        objectstore.backend = file
        log.level = ERROR
        """.write(toFile: SoftHSM.configurationPath, atomically: true, encoding: .utf8)
        try await addToken(label: Self.labelOfFirst)
    }

    deinit { try? FileManager.default.removeItem(atPath: SoftHSM.configurationPath) }

    /// Initialises one more token, as a guide tells people to do it.
    func addToken(label: String, pin: String = SoftHSM.pin) async throws {
        let code = try await ChildProcess(
            [
                SoftHSM.toolPath, "--init-token", "--free", "--label", label,
                "--so-pin", SoftHSM.officerPIN, "--pin", pin,
            ], environment: ["SOFTHSM2_CONF": SoftHSM.configurationPath], error: .inherited
        ).end()
        guard code == 0 else { throw Failure(reason: "softhsm2-util ended with \(code)") }
    }

    func configuration(
        label: String = labelOfFirst, pin: String = SoftHSM.pin,
        library: String = SoftHSM.libraryPath
    ) -> PKCS11Configuration {
        PKCS11Configuration(
            libraryPath: library, tokenLabel: label, pin: .bytes(SecretBytes(pin)))
    }

    /// A copy of the library, which knows nothing of the first: as good as another process.
    func copyLibrary() throws -> String {
        let path = directory.path("other.so")
        // A link would lead to the first one.
        let original = URL(filePath: SoftHSM.libraryPath).resolvingSymlinksInPath()
        try FileManager.default.copyItem(at: original, to: URL(filePath: path))
        return path
    }

    /// A session of the test itself, behind the back of the provider.
    func withSession<Result>(_ body: (TokenSession) throws -> Result) throws -> Result {
        let token = Token(
            label: Self.labelOfFirst, pin: .bytes(SecretBytes(SoftHSM.pin)),
            load: { () throws(KeyError) in try Library.load(SoftHSM.libraryPath) })
        defer { token.release() }
        return try body(token.makeSession())
    }
}

/// Runs a test with a provider on a token, and closes the provider.
func withProvider<Result>(
    on configuration: PKCS11Configuration, faults: FaultyLibrary? = nil,
    _ body: (PKCS11KeyProvider) async throws -> Result
) async throws -> Result {
    let provider: PKCS11KeyProvider
    if let faults {
        provider = try await PKCS11KeyProvider.open(
            configuration, load: { () throws(KeyError) in faults.library })
    } else {
        provider = try await PKCS11KeyProvider.open(configuration)
    }
    let result: Swift.Result<Result, any Error>
    do {
        result = .success(try await body(provider))
    } catch {
        result = .failure(error)
    }
    await provider.close()
    return try result.get()
}

/// Runs a test with a new token and a provider on it that has one key, the default one.
func withProvider<Result>(
    _ body: (SoftToken, PKCS11KeyProvider) async throws -> Result
) async throws -> Result {
    let token = try await SoftToken()
    return try await withProvider(on: token.configuration()) { provider in
        try await provider.createKey(alias: KeyReference.defaultAlias)
        return try await body(token, provider)
    }
}
