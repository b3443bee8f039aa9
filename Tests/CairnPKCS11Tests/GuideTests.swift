// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnPKCS11
import CairnTestSupport
import Foundation
import Testing

extension SoftHSMTests {
    @Suite struct GuideTests {
        private static let guide = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Sources/Cairn/Cairn.docc/Guides/HardwareKeys.md")

        @Test func `the commands and the program of the guide work as they stand there`()
            async throws
        {
            let token = try await SoftToken()
            let guide = try String(contentsOf: Self.guide, encoding: .utf8)
            let directory = token.directory.path("guide")
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: false)
            // The first block installs what this test needs to be there.
            let commands = try #require(Self.blocks("sh", in: guide).last)
            let code = try await ChildProcess(
                ["/bin/sh", "-ec", commands], directory: directory, error: .inherited
            ).end()
            #expect(code == 0)
            // The commands have set the environment of their own shell.
            let settings = try String(
                contentsOfFile: directory + "/softhsm2.conf", encoding: .utf8)
            try settings.write(
                toFile: SoftHSM.configurationPath, atomically: true, encoding: .utf8)
            try await useToken()
            try await useToken()
            #expect(Self.blocks("swift", in: guide).last == (try Self.program()))
        }

        private func useToken() async throws {
            // Quoted from here.
            let provider = try await PKCS11KeyProvider.open(
                PKCS11Configuration(
                    libraryPath: "/usr/lib/softhsm/libsofthsm2.so", tokenLabel: "cairn",
                    pin: .bytes(SecretBytes(copying: Array("5678".utf8).span))))

            // The first start makes the key.
            let key = try KeyReference("alias/documents")
            if try await provider.keys().isEmpty {
                try await provider.createKey(alias: key.text)
            }

            // Encrypt with `plaintext`, keep `wrapped`.
            let context = try EncryptionContext(["document": "17"])
            let dataKey = try await provider.generateDataKey(under: key, context: context)

            // The same key again, for the same context alone.
            let plaintext = try await provider.decryptDataKey(dataKey.wrapped, context: context)
            await provider.close()
            // Quoted to here.
            #expect(plaintext.bytes == dataKey.plaintext.bytes)
        }

        // The lines between the marks, at the margin.
        private static func program() throws -> String {
            let source = try String(contentsOf: URL(filePath: #filePath), encoding: .utf8)
            let lines = source.components(separatedBy: "\n")
            let begin = try #require(lines.firstIndex { $0.hasSuffix("// Quoted from here.") })
            let end = try #require(lines.firstIndex { $0.hasSuffix("// Quoted to here.") })
            return lines[begin + 1..<end].map { $0.dropFirst(12) + "\n" }.joined()
        }

        private static func blocks(_ language: String, in page: String) -> [String] {
            page.components(separatedBy: "```\(language)\n").dropFirst().map {
                String($0.components(separatedBy: "```")[0])
            }
        }
    }
}
