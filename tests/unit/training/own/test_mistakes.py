"""Every mistake in somebody's models is one error that says where it is and what to do."""

import pytest

from banquet.core.errors import BadModels
from banquet.training.own.model_file import ModelFile
from banquet.training.own.part import Part
from banquet.training.own.ranking import own_ranking
from banquet.training.own.retrieval import own_retrieval

RETRIEVAL = {
    "unknown parameter 'colour'; it may take: index, categories, lists, numbers": """
        class Wrong(Items):
            def forward(self, index, colour): return self.ids(index)
        def retrieval(data): return {"item_encoder": Wrong(data), "history_encoder": History()}
        """,
    r"parameter \*inputs; name each input": """
        class Wrong(Items):
            def forward(self, *inputs): return self.ids(inputs[0])
        def retrieval(data): return {"item_encoder": Wrong(data), "history_encoder": History()}
        """,
    r"gives shape \(50, 1, 4\); return one line per item: \(50, width\)": """
        class Wrong(Items):
            def forward(self, index): return self.ids(index)[:, None]
        def retrieval(data): return {"item_encoder": Wrong(data), "history_encoder": History()}
        """,
    "IndexError.*an embedding of `index` needs data.index_size rows": """
        class Wrong(Items):
            def __init__(self, data):
                super().__init__(data)
                self.ids = nn.Embedding(data.index_size - 1, 4)
        def retrieval(data): return {"item_encoder": Wrong(data), "history_encoder": History()}
        """,
    "gives torch.float64; return float32": """
        def retrieval(data): return {"item_encoder": Items(data).double(), "history_encoder": History()}
        """,
    r"history_encoder \(Wrong\) gives shape \(6, 3\); return \(6, 4\), or \(6, M, 4\)": """
        class Wrong(History):
            def forward(self, history, mask): return history.sum(1)[:, :3]
        def retrieval(data): return {"item_encoder": Items(data), "history_encoder": Wrong()}
        """,
    "NaN or infinity .* the first is empty; .*clamp": """
        class Wrong(History):
            def forward(self, history, mask): return history.sum(1) / mask.sum(1, keepdim=True)
        def retrieval(data): return {"item_encoder": Items(data), "history_encoder": Wrong()}
        """,
    "another vector with padding before it than without; .*use `mask`": """
        class Wrong(History):
            def forward(self, history): return history.mean(1)
        def retrieval(data): return {"item_encoder": Items(data), "history_encoder": Wrong()}
        """,
    "cannot be exported by torch.export and ONNX: .*use tensor operations alone": """
        class Wrong(History):
            def forward(self, history, mask):
                if float(mask.sum()) > 1e9:
                    return history.amax(1)
                return history.sum(1)
        def retrieval(data): return {"item_encoder": Items(data), "history_encoder": Wrong()}
        """,
    "returned a dict with no 'history_encoder'; return a dict .* 'item_encoder' and 'history_encoder'": """
        def retrieval(data): return {"item_encoder": Items(data)}
        """,
    "returned a tuple with no 'item_encoder'": """
        def retrieval(data): return Items(data), History()
        """,
    "with function for 'history_encoder'": """
        def retrieval(data): return {"item_encoder": Items(data), "history_encoder": lambda history: history}
        """,
    r"my_models.py: retrieval\(data\) failed: line \d+: ValueError: no such thing": """
        def retrieval(data): raise ValueError("no such thing")
        """,
}

RANKING = {
    r"ranker \(Wrong\) gives shape \(6, 24, 1\); .*squeeze": """
        class Wrong(nn.Module):
            def forward(self, candidates): return candidates.sum(2, keepdim=True)
        def ranking(data): return {"ranker_items": Items(data), "ranker": Wrong()}
        """,
    r"ranker \(Wrong\) gives shape \(6, 1\); return one score per candidate: \(6, 24\)$": """
        class Wrong(nn.Module):
            def forward(self, candidates): return candidates.sum((1, 2))[:, None]
        def ranking(data): return {"ranker_items": Items(data), "ranker": Wrong()}
        """,
    "another score when others are left out; .*score each candidate by itself": """
        class Wrong(nn.Module):
            def forward(self, candidates): return candidates.sum(2).softmax(1)
        def ranking(data): return {"ranker_items": Items(data), "ranker": Wrong()}
        """,
    "other scores after a history of .* with padding before it": """
        class Wrong(nn.Module):
            def forward(self, history, candidates): return candidates.sum(2) + history.mean((1, 2))[:, None]
        def ranking(data): return {"ranker_items": Items(data), "ranker": Wrong()}
        """,
    "NaN or infinity .* empty history": """
        class Wrong(nn.Module):
            def forward(self, history, mask, candidates):
                return candidates.sum(2) + (history.sum((1, 2)) / mask.sum(1))[:, None]
        def ranking(data): return {"ranker_items": Items(data), "ranker": Wrong()}
        """,
    "unknown parameter 'user_vector'; it may take: user_categories": """
        class Wrong(nn.Module):
            def forward(self, user_vector, candidates): return candidates.sum(2)
        def ranking(data): return {"ranker_items": Items(data), "ranker": Wrong()}
        """,
}


@pytest.mark.parametrize("wanted", RETRIEVAL)
def test_a_mistake_in_retrieval_is_told(course, model_file, capfd, wanted) -> None:
    """With the file, the function and the module, in one line."""
    with pytest.raises(BadModels, match=wanted) as told:
        own_retrieval(course, model_file(RETRIEVAL[wanted]))
    assert "my_models.py: retrieval(data)" in str(told.value)
    assert "\n" not in str(told.value)
    # Nor are there pages of torch's before it.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", RANKING)
def test_a_mistake_in_ranking_is_told(course, model_file, finished, wanted) -> None:
    """As for retrieval."""
    with pytest.raises(BadModels, match=wanted) as told:
        own_ranking(course, model_file(RANKING[wanted]), finished)
    assert "my_models.py: ranking(data)" in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path) -> None:
    """Before any data is read."""
    with pytest.raises(BadModels, match=r"no such file; name a Python file that defines retrieval\(data\) or ranking\(data\)"):
        ModelFile.load(tmp_path / "nowhere.py")


def test_a_file_without_any_model_is_told(model_file) -> None:
    """Probably the function has another name."""
    with pytest.raises(BadModels, match=r"defines neither retrieval\(data\) nor ranking\(data\)"):
        model_file("def retriever(data): ...")


def test_a_file_that_is_no_python_is_told_with_its_line(model_file) -> None:
    """As Python would, in one line."""
    with pytest.raises(BadModels, match=r"cannot be run: line \d+: SyntaxError"):
        model_file("def retrieval(data:\n")


def test_an_input_that_the_data_do_not_have_is_told(course, model_file) -> None:
    """Unless the module can do without."""
    file = model_file(
        """
        class Needs(Items):
            def forward(self, index, categories): return self.ids(index)
        class Could(Items):
            def forward(self, index, categories=None): return self.ids(index)
        def retrieval(data): ...
        """
    )
    inputs = {"index": course.material.items.index}
    data = type("Data", (), {"index_size": 99})()
    with pytest.raises(BadModels, match="takes 'categories', of which this dataset has none; drop it, or write categories=None"):
        Part(file, "retrieval", "item_encoder", file.module.Needs(data), inputs)
    Part(file, "retrieval", "item_encoder", file.module.Could(data), inputs)
