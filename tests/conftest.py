import gc

from hypothesis import settings

settings.register_profile("naslab", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("naslab")


def pytest_collection_finish():
    """The million objects of torch and of the tests stay: garbage collections need not look at them."""
    gc.collect()
    gc.freeze()
