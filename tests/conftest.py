from hypothesis import settings

settings.register_profile("naslab", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("naslab")
