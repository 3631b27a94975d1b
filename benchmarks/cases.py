from implementations import MLPSpec
def every_shape():
    return [(MLPSpec((784,128,64,10)),32),(MLPSpec((64,32,10),dtype="float64"),256)]
