// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser

/// A name and a value, written with an equals sign between them.
struct Pair: ExpressibleByArgument {
    let name: String
    let value: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
            return nil
        }
        name = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }

    static func dictionary(_ pairs: [Pair]) throws -> [String: String] {
        var result: [String: String] = [:]
        for pair in pairs {
            guard result.updateValue(pair.value, forKey: pair.name) == nil else {
                throw CommandFailure(
                    code: "invalidArgument", message: "\(pair.name) is given twice")
            }
        }
        return result
    }
}
