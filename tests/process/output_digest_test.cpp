#include <troupe/process/output_digest.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::process {
namespace {

TEST(Tail, KeepsTheLastBytesWhateverThePiecesWere) {
  EXPECT_TRUE(rc::check([](const std::vector<std::string>& pieces) {
    const std::size_t limit = *rc::gen::inRange<std::size_t>(0, 20);
    Tail tail{limit};
    std::string all;
    for (const std::string& piece : pieces) {
      tail.write(piece);
      all += piece;
    }
    RC_ASSERT(tail.text() ==
              all.substr(all.size() - std::min(limit, all.size())));
  }));
}

TEST(TextFinder, FindsWhatAWholeSearchFindsWhateverThePiecesWere) {
  EXPECT_TRUE(rc::check([] {
    const auto letters =
        rc::gen::container<std::string>(rc::gen::element('a', 'b'));
    const auto pieces = *rc::gen::container<std::vector<std::string>>(letters);
    const auto texts = *rc::gen::container<std::vector<std::string>>(letters);
    TextFinder finder{texts};
    std::string all;
    for (const std::string& piece : pieces) {
      finder.write(piece);
      all += piece;
    }
    for (std::size_t i = 0; i < texts.size(); ++i)
      RC_ASSERT(finder.found(i) == (all.find(texts[i]) != std::string::npos));
  }));
}

}  // namespace
}  // namespace troupe::process
