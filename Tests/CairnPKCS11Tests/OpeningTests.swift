// Part of Cairn, a content-addressed blob store.
import CPKCS11
import CairnCore
import CairnKeys
import CairnTestSupport
import Foundation
import Testing

@testable import CairnPKCS11

extension SoftHSMTests {
    @Suite struct OpeningTests {
        @Test func `a wrong PIN is presented once and does not open`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            await #expect(throws: KeyError.with(.wrongPassphrase)) {
                try await withProvider(on: token.configuration(pin: "wrong"), faults: faults) { _ in
                }
            }
            #expect(faults.callCount("C_Login") == 1)
            try await withProvider(on: token.configuration()) { _ in }
        }

        @Test func `a wrong PIN does not open beside a provider that is open`() async throws {
            try await withProvider { token, provider in
                await #expect(throws: KeyError.with(.wrongPassphrase)) {
                    try await withProvider(on: token.configuration(pin: "wrong")) { _ in }
                }
                _ = try await provider.describeKey(.default)
            }
        }

        @Test func `a locked PIN is answered like a wrong one`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            faults.fail("C_Login", with: CKR_PIN_LOCKED)
            await #expect(throws: KeyError.with(.wrongPassphrase)) {
                try await withProvider(on: token.configuration(), faults: faults) { _ in }
            }
        }

        @Test func `a PIN can come from a closure, which may fail`() async throws {
            let token = try await SoftToken()
            var configuration = token.configuration()
            configuration.pin = .source { SecretBytes(SoftHSM.pin) }
            try await withProvider(on: configuration) { provider in
                _ = try await provider.createKey()
            }
            configuration.pin = .source { () throws(KeyError) in
                throw KeyError(.unavailable, "nobody is there to type it")
            }
            await #expect(throws: KeyError.with(.unavailable)) {
                try await withProvider(on: configuration) { _ in }
            }
        }

        @Test func `what is no library is named and refused`() async throws {
            let token = try await SoftToken()
            let text = token.directory.path("text.so")
            try Data("not a library".utf8).write(to: URL(filePath: text))
            let paths = [
                token.directory.path("missing.so"), text, "", "a\0b",
                // A library, of another kind.
                "libm.so.6",
            ]
            for path in paths {
                await #expect(throws: KeyError.with(.invalidArgument), "\(path)") {
                    try await withProvider(on: token.configuration(library: path)) { _ in }
                }
            }
        }

        @Test func `an unknown token is unavailable, as it may come back`() async throws {
            let token = try await SoftToken()
            await #expect(throws: KeyError.with(.unavailable)) {
                try await withProvider(on: token.configuration(label: "unknown")) { _ in }
            }
            // The beginning of a label is no label.
            await #expect(throws: KeyError.with(.unavailable)) {
                try await withProvider(on: token.configuration(label: "cairn")) { _ in }
            }
        }

        @Test func `a token made later is seen once the library was initialised again`()
            async throws
        {
            let token = try await SoftToken()
            try await withProvider(on: token.configuration()) { _ in
                try await token.addToken(label: "later")
                await #expect(throws: KeyError.with(.unavailable)) {
                    try await withProvider(on: token.configuration(label: "later")) { _ in }
                }
            }
            try await withProvider(on: token.configuration(label: "later")) { _ in }
        }

        @Test func `two tokens of one label are refused, as either could be meant`() async throws {
            let token = try await SoftToken()
            try await token.addToken(label: SoftToken.labelOfFirst)
            try await token.addToken(label: "another")
            await #expect(throws: KeyError.with(.invalidArgument)) {
                try await withProvider(on: token.configuration()) { _ in }
            }
            try await withProvider(on: token.configuration(label: "another")) { _ in }
        }

        @Test func `numbers and texts out of range are refused`() async throws {
            let token = try await SoftToken()
            let changes: [(inout PKCS11Configuration) -> Void] = [
                { $0.tokenLabel = "" }, { $0.tokenLabel = String(repeating: "a", count: 33) },
                { $0.threadCount = 0 }, { $0.threadCount = 65 }, { $0.waitingCountMax = 0 },
                { $0.pin = .bytes(SecretBytes("")) },
                { $0.pin = .bytes(SecretBytes(String(repeating: "1", count: 256))) },
            ]
            for (number, change) in changes.enumerated() {
                var configuration = token.configuration()
                change(&configuration)
                await #expect(throws: KeyError.with(.invalidArgument), "change \(number)") {
                    try await withProvider(on: configuration) { _ in }
                }
            }
        }

        @Test func `the library is finalised with its last provider`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            let configuration = token.configuration()
            try await withProvider(on: configuration, faults: faults) { first in
                try await withProvider(on: configuration, faults: faults) { _ in }
                #expect(faults.callCount("C_Finalize") == 0)
                try await first.createKey()
            }
            #expect(faults.callCount("C_Finalize") == 1)
            // Which leaves nothing behind that would keep another one from opening.
            try await withProvider(on: configuration) { again in
                let count = try await again.keys().count
                #expect(count == 1)
            }
        }

        @Test func `a provider that nobody closes gives up the library`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            do {
                _ = try await PKCS11KeyProvider.open(
                    token.configuration(), load: { () throws(KeyError) in faults.library })
            }
            let deadline = ContinuousClock.now + .seconds(20)
            while faults.callCount("C_Finalize") == 0, ContinuousClock.now < deadline {
                await Task.yield()
            }
            #expect(faults.callCount("C_Finalize") == 1)
        }
    }
}
